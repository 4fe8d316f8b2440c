using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>Where attention keeps scores and what becomes of them: for so many rows at once as fit into a fixed number of scores, and for one row at least. How many are computed
/// at once changes no bit, because no row looks at another.</summary>
internal sealed class AttentionRoom : IDisposable
{
    private const long MostScores = 1 << 24;
    private readonly int _heads;
    private readonly int _rows;
    private readonly long _scores;

    /// <summary>Makes it.</summary>
    /// <param name="device">The device.</param>
    /// <param name="rows">Rows of a batch at most.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="context">Positions of a sequence at most.</param>
    public AttentionRoom(IlgpuDevice device, int rows, int heads, int headDim, int context)
    {
        (_rows, _heads, Context) = (rows, heads, ContextOf(context));
        var ofRow = (long)heads * Context;
        _scores = Math.Max(ofRow, Math.Min(MostScores, rows * ofRow));
        Scores = device.Allocate<float>(_scores);
        Maxima = device.Allocate<float>(_scores / TreeAttention.Unit);
        Sums = device.Allocate<float>(_scores / TreeAttention.Unit);
        Values = device.Allocate<float>(_scores / TreeAttention.Part * headDim);
    }

    /// <summary>The longest context that it holds, in whole parts.</summary>
    public int Context { get; }

    public DeviceBuffer<float> Scores { get; }

    public DeviceBuffer<float> Maxima { get; }

    public DeviceBuffer<float> Sums { get; }

    public DeviceBuffer<float> Values { get; }

    /// <summary>Bytes.</summary>
    public long Bytes => Scores.Bytes + Maxima.Bytes + Sums.Bytes + Values.Bytes;

    /// <summary>Whole parts that hold so many positions.</summary>
    public static int ContextOf(int positions) => (int)DeviceRows.Whole(positions, TreeAttention.Part);

    /// <summary>Rows that are computed at once in such a context.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The room was not made for it.</exception>
    public int RowsAtOnce(int context)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(context, Context);
        return (int)Math.Min(_scores / ((long)_heads * context), _rows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Scores.Dispose();
        Maxima.Dispose();
        Sums.Dispose();
        Values.Dispose();
    }
}
