using System.Runtime.InteropServices;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>A vector of floats in device memory.</summary>
internal sealed class CudaVector(long length, CudaResource memory) : BackendVector(length)
{
    public CudaResource Memory => memory;

    public override void Dispose() => memory.Dispose();
}

/// <summary>Slabs that a product reads.</summary>
/// <param name="Format">How numbers are held.</param>
/// <param name="Out">Rows of the matrix.</param>
/// <param name="In">Columns.</param>
/// <param name="Memory">The slabs.</param>
internal sealed record CudaMatrix(CudaFormat Format, int Out, int In, CudaResource Memory)
{
    public int Stages => CudaLayout.Stages(Format, In);
}

/// <summary>A weight, which goes to the device in the forms that programs need of it, when the first of them is compiled: only a program knows whether it
/// looks rows up, multiplies, or multiplies gate and up in turns.</summary>
internal sealed unsafe class CudaWeight : BackendWeight
{
    private readonly CudaBackend _backend;
    private readonly IReadOnlyList<TensorView> _parts;
    private readonly float[]? _bias;
    private readonly WeightFormat _format;
    private readonly Dictionary<bool, CudaMatrix> _matrices = []; // by whether gate and up are in turns
    private readonly Dictionary<float, CudaResource> _biases = []; // by what they are multiplied with
    private CudaResource? _table;
    private bool _disposed;

    public CudaWeight(CudaBackend backend, IReadOnlyList<TensorView> parts, float[]? bias, WeightFormat format)
        : base(checked((int)parts.Sum(part => part.Shape[0])), checked((int)parts[0].Shape[1]))
    {
        (_backend, _parts, _bias, _format) = (backend, parts, bias, format);
        Format = FormatOf(parts, format);
    }

    /// <summary>How a product holds it.</summary>
    public CudaFormat Format { get; }

    /// <summary>Whether something is added to a product.</summary>
    public bool HasBias => _bias is not null;

    /// <summary>The slabs, packed now if they were not yet.</summary>
    public CudaMatrix Matrix(CudaTurn turn, CudaStaging staging, bool inTurns)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_matrices.TryGetValue(inTurns, out var matrix))
        {
            matrix = Pack(turn, staging, inTurns);
            _matrices.Add(inTurns, matrix);
        }

        return matrix;
    }

    /// <summary>[out, in] as the file has it, for looking rows up, and the format of its numbers.</summary>
    public (CudaResource Memory, CudaFormat Format) Table(CudaTurn turn, CudaStaging staging)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_parts[0].Format != WeightFormat.AsStored)
        {
            throw new ArgumentException($"'{_parts[0].Name}' is {_parts[0]}; packed weights cannot be looked up as embeddings");
        }

        var format = FormatOf(_parts[0].DType);
        if (_table is null)
        {
            var memory = turn.Allocate(_parts[0].ByteLength);
            staging.Upload(turn, memory.Handle, _parts[0].ByteLength, CopyOf(_parts[0]));
            _table = memory;
        }

        return (_table, format);
    }

    /// <summary>The bias times a number; null where there is none.</summary>
    public CudaResource? Bias(CudaTurn turn, CudaStaging staging, float multiplier)
    {
        if (_bias is null)
        {
            return null;
        }

        if (!_biases.TryGetValue(multiplier, out var memory))
        {
            memory = _backend.UploadFloats(turn, staging, [.. _bias.Select(bias => bias * multiplier)]);
            _biases.Add(multiplier, memory);
        }

        return memory;
    }

    public override void Dispose()
    {
        _disposed = true;
        foreach (var matrix in _matrices.Values)
        {
            matrix.Memory.Dispose();
        }

        foreach (var bias in _biases.Values)
        {
            bias.Dispose();
        }

        _table?.Dispose();
    }

    /// <summary>How stacked matrices are held; those of different types as F32.</summary>
    public static CudaFormat FormatOf(IReadOnlyList<TensorView> parts, WeightFormat format) => format switch
    {
        WeightFormat.Q8 => CudaFormat.Q8,
        WeightFormat.Q4 => CudaFormat.Q4,
        _ => parts.All(part => part.DType == parts[0].DType) ? FormatOf(parts[0].DType) : CudaFormat.F32,
    };

    /// <summary>The device's name of an element type.</summary>
    public static CudaFormat FormatOf(DType type) => type switch
    {
        DType.F32 => CudaFormat.F32,
        DType.F16 => CudaFormat.F16,
        DType.BF16 => CudaFormat.BF16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "expected F32, F16 or BF16"),
    };

    /// <summary>Numbers of any element type as floats.</summary>
    public static void ToFloats(TensorView tensor, long first, Span<float> into)
    {
        for (var i = 0; i < into.Length; i++)
        {
            into[i] = tensor.DType switch
            {
                DType.F32 => ((float*)tensor.Data)[first + i],
                DType.F16 => (float)((Half*)tensor.Data)[first + i],
                _ => BitConverter.UInt32BitsToSingle((uint)((ushort*)tensor.Data)[first + i] << 16),
            };
        }
    }

    private static StagingSource CopyOf(TensorView tensor)
        => (to, from, count) => NativeMemory.Copy((byte*)tensor.Data + from, to, (nuint)count);

    private CudaMatrix Pack(CudaTurn turn, CudaStaging staging, bool inTurns)
    {
        var matrix = new CudaMatrix(Format, OutFeatures, InFeatures, turn.Allocate(CudaLayout.WeightBytes(Format, OutFeatures, InFeatures)));
        var packed = Format is CudaFormat.Q8 or CudaFormat.Q4;
        var bytes = packed ? PackedWeights.Bytes(OutFeatures, InFeatures, _format) : (long)OutFeatures * InFeatures * (Format == CudaFormat.F32 ? 4 : 2);
        var source = staging.Scratch(turn, bytes);
        if (packed)
        {
            UploadPanels(turn, staging, source, bytes);
        }
        else
        {
            UploadParts(turn, staging, source);
        }

        _backend.Pack(turn, new PackWeightsArguments
        {
            Source = source,
            Packed = matrix.Memory.Handle,
            SourceFormat = (int)Format,
            Out = OutFeatures,
            In = InFeatures,
            GateUp = inTurns ? 1 : 0,
            Scale = 1,
        }, Format);
        return matrix;
    }

    private void UploadParts(CudaTurn turn, CudaStaging staging, ulong to)
    {
        foreach (var part in _parts)
        {
            if (FormatOf(part.DType) == Format)
            {
                staging.Upload(turn, to, part.ByteLength, CopyOf(part));
                to += (ulong)part.ByteLength;
            }
            else // parts of different types are taken as F32
            {
                staging.Upload(turn, to, part.ElementCount * sizeof(float), (target, from, count) => ToFloats(part, from / sizeof(float), new Span<float>(target, count / sizeof(float))));
                to += (ulong)part.ElementCount * sizeof(float);
            }
        }
    }

    /// <summary>Panels as the file has them, or packed now, with the whole numbers and scales that the CPU computes with.</summary>
    private void UploadPanels(CudaTurn turn, CudaStaging staging, ulong to, long bytes)
    {
        List<NativeBuffer<byte>> made = [];
        try
        {
            var parts = _parts;
            if (parts[0].Format == WeightFormat.AsStored)
            {
                parts = [.. parts.Select(part =>
                {
                    made.Add(new NativeBuffer<byte>(PackedWeights.Bytes(part.Shape[0], part.Shape[1], _format)));
                    return _backend.Packer.Pack(part, _format, made[^1]);
                })];
            }

            var first = (byte*)parts[0].Data;
            if (!PackedStack.LiesTogether(parts))
            {
                made.Add(PackedStack.Copy(parts, _format));
                first = made[^1].Pointer;
            }

            staging.Upload(turn, to, bytes, (target, from, count) => NativeMemory.Copy(first + from, target, (nuint)count));
        }
        finally
        {
            made.ForEach(buffer => buffer.Dispose());
        }
    }
}
