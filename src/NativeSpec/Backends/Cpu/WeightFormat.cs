using System.Runtime.CompilerServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cpu;

/// <summary>How a kernel reads weights of one element type as floats. Every conversion here is exact.</summary>
internal interface IWeightFormat
{
    /// <summary>Bytes per weight.</summary>
    static abstract int Size { get; }

    /// <summary>The next lanes, starting at the weight with this index.</summary>
    static abstract unsafe TVector Load<TSimd, TVector>(byte* row, int index)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged;

    /// <summary>One weight.</summary>
    static abstract unsafe float LoadOne(byte* row, int index);
}

/// <summary>How keys and values of one element type are written and read.</summary>
internal interface IKvFormat : IWeightFormat
{
    /// <summary>Writes floats one after the other, rounded to the type.</summary>
    static abstract unsafe void Write(float* from, byte* to, int length);
}

/// <summary>One element of any type.</summary>
internal static class WeightFormats
{
    /// <summary>The element with this index as a float.</summary>
    public static unsafe float LoadOne(DType dtype, byte* data, int index) => dtype switch
    {
        DType.BF16 => BF16Format.LoadOne(data, index),
        DType.F16 => F16Format.LoadOne(data, index),
        _ => F32Format.LoadOne(data, index),
    };
}

internal readonly struct F32Format : IKvFormat
{
    public static int Size => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe TVector Load<TSimd, TVector>(byte* row, int index)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
        => TSimd.Load((float*)row + index);

    public static unsafe float LoadOne(byte* row, int index) => ((float*)row)[index];

    public static unsafe void Write(float* from, byte* to, int length) => new ReadOnlySpan<float>(from, length).CopyTo(new Span<float>(to, length));
}

internal readonly struct BF16Format : IKvFormat
{
    public static int Size => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe TVector Load<TSimd, TVector>(byte* row, int index)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
        => TSimd.LoadBF16((ushort*)row + index);

    public static unsafe float LoadOne(byte* row, int index) => SimdScalar.LoadBF16((ushort*)row + index);

    public static unsafe void Write(float* from, byte* to, int length)
    {
        for (var i = 0; i < length; i++)
        {
            ((ushort*)to)[i] = Round(from[i]);
        }
    }

    /// <summary>To the nearest, ties to even; what is not a number stays so.</summary>
    public static ushort Round(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)(float.IsNaN(value) ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}

internal readonly struct F16Format : IWeightFormat
{
    public static int Size => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe TVector Load<TSimd, TVector>(byte* row, int index)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
        => TSimd.LoadF16((ushort*)row + index);

    public static unsafe float LoadOne(byte* row, int index) => SimdScalar.LoadF16((ushort*)row + index);
}
