using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>Products of weights and rows: partial sums of every output over segments of the columns, for eight rows at once.</summary>
/// <remarks>
/// <para>A thread has one output, one segment and eight rows: it reads a weight once for the eight, from panels in which neighbouring threads read neighbouring
/// bytes. A segment is one chain of additions in the order of the columns; segments are a matter of the matrix's shape (<see cref="SegmentChunks"/>), and
/// <see cref="PartialSums"/> adds them in order. Fewer rows than eight are computed with rows that nobody reads: one row is the same instructions as eight, so a
/// row's bits cannot depend on its company.</para>
/// </remarks>
internal static class MatMul
{
    /// <summary>Rows of a thread.</summary>
    public const int Rows = 8;

    /// <summary>Outputs of a panel: as many as of the processor's packed weights.</summary>
    public const int Lanes = 32;

    /// <summary>Columns that are read at once.</summary>
    public const int Columns = 8;

    private const int EnoughThreads = 1 << 16;
    private const int LeastSegmentChunks = 16; // a multiple of what shares a scale
    private const int MostSegments = 32;

    internal struct Arguments
    {
        public Matrix Weights;
        public ArrayView<Float4> X;      // [rows, stride]; numbers past the width are 0
        public ArrayView<float> Partials; // [segments, rows, outputs], both rounded up
        public int StrideX;               // in fours
        public int SegmentChunks;
        public int Segments;
        public int Outputs;               // rounded up to whole panels
        public int Rows;                  // rounded up to whole eights
    }

    /// <summary>Chunks of a segment of a matrix: so many segments that a device has enough threads, whatever the number of rows.</summary>
    /// <param name="outputs">Outputs, rounded up to whole panels.</param>
    /// <param name="chunks">Chunks of a row of the matrix.</param>
    public static int SegmentChunks(int outputs, int chunks)
    {
        var segments = 1;
        while (segments < MostSegments && (long)outputs * segments < EnoughThreads)
        {
            segments *= 2;
        }

        var least = (chunks + segments - 1) / segments;
        return (least + LeastSegmentChunks - 1) / LeastSegmentChunks * LeastSegmentChunks;
    }

    /// <summary>An item is an output of a segment, for eight rows.</summary>
    public static void Run<TFormat, TArithmetic>(Index1D index, Loop loop, Arguments a)
        where TFormat : struct, IWeightFormat
        where TArithmetic : struct, IArithmetic
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (output, rest) = (item % a.Outputs, item / a.Outputs);
            var (segment, row) = (rest % a.Segments, rest / a.Segments * Rows);
            var first = segment * a.SegmentChunks;
            var end = first + a.SegmentChunks;
            end = end < a.Weights.Chunks ? end : a.Weights.Chunks;
            float s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
            var x = (long)row * a.StrideX;
            for (var chunk = first; chunk < end; chunk++)
            {
                var w = TFormat.Load(a.Weights, output, chunk);
                var at = x + (2 * chunk);
                s0 = Add<TArithmetic>(w, a.X, at, s0);
                s1 = Add<TArithmetic>(w, a.X, at + a.StrideX, s1);
                s2 = Add<TArithmetic>(w, a.X, at + (2 * a.StrideX), s2);
                s3 = Add<TArithmetic>(w, a.X, at + (3 * a.StrideX), s3);
                s4 = Add<TArithmetic>(w, a.X, at + (4 * a.StrideX), s4);
                s5 = Add<TArithmetic>(w, a.X, at + (5 * a.StrideX), s5);
                s6 = Add<TArithmetic>(w, a.X, at + (6 * a.StrideX), s6);
                s7 = Add<TArithmetic>(w, a.X, at + (7 * a.StrideX), s7);
            }

            var y = (((long)segment * a.Rows) + row) * a.Outputs + output;
            a.Partials[y] = s0;
            a.Partials[y + a.Outputs] = s1;
            a.Partials[y + (2L * a.Outputs)] = s2;
            a.Partials[y + (3L * a.Outputs)] = s3;
            a.Partials[y + (4L * a.Outputs)] = s4;
            a.Partials[y + (5L * a.Outputs)] = s5;
            a.Partials[y + (6L * a.Outputs)] = s6;
            a.Partials[y + (7L * a.Outputs)] = s7;
        }
    }

    private static float Add<TArithmetic>(Float8 w, ArrayView<Float4> x, long at, float sum)
        where TArithmetic : struct, IArithmetic
    {
        var (low, high) = (x[at], x[at + 1]);
        sum = TArithmetic.MultiplyAdd(w.Low.X, low.X, sum);
        sum = TArithmetic.MultiplyAdd(w.Low.Y, low.Y, sum);
        sum = TArithmetic.MultiplyAdd(w.Low.Z, low.Z, sum);
        sum = TArithmetic.MultiplyAdd(w.Low.W, low.W, sum);
        sum = TArithmetic.MultiplyAdd(w.High.X, high.X, sum);
        sum = TArithmetic.MultiplyAdd(w.High.Y, high.Y, sum);
        sum = TArithmetic.MultiplyAdd(w.High.Z, high.Z, sum);
        return TArithmetic.MultiplyAdd(w.High.W, high.W, sum);
    }
}
