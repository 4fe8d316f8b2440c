using ILGPU;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>Rows of floats on a device, as kernels take them: rows are as many as whole eights, and as wide as whole eights, of which those past the width are 0 and stay so.</summary>
internal sealed class DeviceRows(IlgpuDevice device, long rows, int width) : IDisposable
{
    private readonly DeviceBuffer<float> _memory = device.Allocate<float>(checked(Whole(rows, MatMul.Rows) * Whole(width, MatMul.Columns)));

    /// <summary>Numbers of a row.</summary>
    public int Width => width;

    /// <summary>From a row to the next.</summary>
    public int Stride { get; } = (int)Whole(width, MatMul.Columns);

    /// <summary>Bytes.</summary>
    public long Bytes => _memory.Bytes;

    /// <summary>All of them.</summary>
    public ArrayView<float> View => _memory.View;

    /// <summary>Those from a row on.</summary>
    public ArrayView<float> From(int row) => View.SubView((long)row * Stride, View.Length - ((long)row * Stride));

    /// <summary>The least multiple that holds a number.</summary>
    public static long Whole(long number, int of) => (number + of - 1) / of * of;

    /// <summary>Reads a row.</summary>
    public void Read(int row, Span<float> into) => _memory.Download(into, (long)row * Stride);

    /// <summary>Writes a row.</summary>
    public void Write(int row, ReadOnlySpan<float> values) => _memory.Upload(values, (long)row * Stride);

    /// <summary>Reads a number of a row.</summary>
    public float At(int row, int i)
    {
        Span<float> one = stackalloc float[1];
        _memory.Download(one, ((long)row * Stride) + i);
        return one[0];
    }

    /// <summary>A row of it.</summary>
    public ArrayView<float> Row(int row) => View.SubView((long)row * Stride, width);

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
