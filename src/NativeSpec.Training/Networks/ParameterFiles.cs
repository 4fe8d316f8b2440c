using System.Runtime.InteropServices;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Networks;

/// <summary>Parameters from and to the tensors of a checkpoint.</summary>
internal static class ParameterFiles
{
    /// <summary>Copies tensors of any float type into the parameters' values.</summary>
    /// <exception cref="InvalidOperationException">A tensor is missing or has another size.</exception>
    public static void Load(IEnumerable<Parameter> parameters, IReadOnlyDictionary<string, TensorView> tensors)
    {
        foreach (var parameter in parameters)
        {
            var row = 0;
            foreach (var part in parameter.Parts)
            {
                var target = parameter.Value.RowRange(row, part.Rows);
                if (!tensors.TryGetValue(part.Name, out var view) || view.ElementCount != target.Length)
                {
                    throw new InvalidOperationException($"tensor '{part.Name}' is {view?.ToString() ?? "missing"}; expected {target.Length} numbers");
                }

                CopyTo(view, target);
                row += part.Rows;
            }
        }
    }

    /// <summary>The values as tensors of a checkpoint, rounded to the nearest bfloat16.</summary>
    public static IEnumerable<SafetensorsTensor> ToBFloat16(IEnumerable<Parameter> parameters)
    {
        foreach (var parameter in parameters)
        {
            var row = 0;
            foreach (var part in parameter.Parts)
            {
                var first = row;
                long[] shape = parameter.IsVector ? [parameter.Value.Columns] : [part.Rows, parameter.Value.Columns];
                yield return new SafetensorsTensor(part.Name, DType.BF16, shape, stream => WriteBFloat16(stream, parameter.Value, first, part.Rows));
                row += part.Rows;
            }
        }
    }

    /// <summary>To the nearest bfloat16, halves to the even one.</summary>
    public static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static void WriteBFloat16(Stream stream, Matrix matrix, int firstRow, int rows)
    {
        var row = new ushort[matrix.Columns];
        for (var i = firstRow; i < firstRow + rows; i++)
        {
            var values = matrix.Row(i);
            for (var column = 0; column < row.Length; column++)
            {
                row[column] = ToBFloat16(values[column]);
            }

            stream.Write(MemoryMarshal.AsBytes(row.AsSpan()));
        }
    }

    private static unsafe void CopyTo(TensorView view, Span<float> target)
    {
        for (var i = 0; i < target.Length; i++)
        {
            target[i] = view.DType switch
            {
                DType.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)view.Data)[i] << 16),
                DType.F16 => (float)((Half*)view.Data)[i],
                DType.F32 => ((float*)view.Data)[i],
                _ => throw new InvalidOperationException($"tensor '{view.Name}' is {view}; expected F32, F16 or BF16"),
            };
        }
    }
}
