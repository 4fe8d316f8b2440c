using ILGPU;
using ILGPU.Algorithms;
using NativeSpec.Backends;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>softmax(q · Kᵀ · scale) · V, where a node sees the committed prefix, its ancestors and itself; with a window, of these the last ones. Four kernels, none of
/// which waits for a neighbour: scores; weights and their sums, unit by unit of <see cref="Unit"/> positions; weighed values, part by part of <see cref="Part"/>
/// positions; the parts together.</summary>
/// <remarks>Units and parts are cut at fixed positions and added in the order of positions, each by its distance from the highest maximum (Milakov and Gimelshein, 2018). Where a
/// key lies, in its own slot or in that of a tree's node, only says which address is read. How many units and parts are gone through follows the longest context of a batch, so roundings
/// are written out (<see cref="IArithmetic"/>): else a compiler might fuse in the body of an unrolled loop and not in what is left of it. So a node's result has the same bits in every tree.</remarks>
internal static class TreeAttention
{
    /// <summary>Positions whose weights are taken from one maximum.</summary>
    public const int Unit = 64;

    /// <summary>Positions whose values one thread adds.</summary>
    public const int Part = 256;

    internal struct Arguments<TStored>
        where TStored : unmanaged
    {
        public ArrayView<float> Qkv; // [rows of the batch, stride]
        public ArrayView<float> Y;   // [rows of the batch, strideY]
        public KvPlanes<TStored> Kv;
        public Sight Sight;
        public ArrayView<float> Scores; // [rows, heads, context]: scores, then weights
        public ArrayView<float> Maxima; // [rows, heads, units]
        public ArrayView<float> Sums;   // [rows, heads, units]
        public ArrayView<float> Values; // [rows, heads, parts, headDim]
        public int FirstRow;            // of the batch: the others count from it
        public int Heads;
        public int Context; // a multiple of a part
        public int Window;  // 0: none
        public float Scale;
        public int Stride;
        public int StrideY;
    }

    /// <summary>What rows see: the batch as data (<see cref="RowBatch"/>).</summary>
    internal struct Sight
    {
        public ArrayView<int> Positions;
        public ArrayView<int> Trunk;
        public ArrayView<int> PageStart;
        public ArrayView<int> PathStart;
        public ArrayView<int> Pages;
        public ArrayView<int> PathRows;

        /// <summary>The cache row of a position that a row sees.</summary>
        public readonly int RowOf(int row, int position) => position < Trunk[row]
            ? (Pages[PageStart[row] + (position / RowBatch.PageSize)] * RowBatch.PageSize) + (position % RowBatch.PageSize)
            : PathRows[PathStart[row] + position - Trunk[row]];

        /// <summary>The first position that a row sees.</summary>
        public readonly int First(int row, int window)
        {
            var first = Positions[row] + 1 - window;
            return window == 0 || first < 0 ? 0 : first;
        }
    }

    /// <summary>q · k · scale. An item is a position of a head of a row.</summary>
    public static void Score<TElement, TStored, TArithmetic>(Index1D index, Loop loop, Arguments<TStored> a)
        where TElement : struct, IElement<TStored>
        where TStored : unmanaged
        where TArithmetic : struct, IArithmetic
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (position, head, row) = (item % a.Context, item / a.Context % a.Heads, a.FirstRow + (item / a.Context / a.Heads));
            if (position > a.Sight.Positions[row] || position < a.Sight.First(row, a.Window))
            {
                continue;
            }

            var key = a.Kv.KeyAt(a.Sight.RowOf(row, position), head / (a.Heads / a.Kv.KvHeads));
            var q = ((long)row * a.Stride) + (head * a.Kv.HeadDim);
            var sum = 0f;
            for (var i = 0; i < a.Kv.HeadDim; i++)
            {
                sum = TArithmetic.MultiplyAdd(a.Qkv[q + i], TElement.Load(a.Kv.Keys[key + ((long)i * KvPlanes.KeyStride)]), sum);
            }

            a.Scores[item] = sum * a.Scale;
        }
    }

    /// <summary>exp(score − the unit's maximum), in place, and their sum. An item is a unit of a head of a row; one that a row does not see has the maximum −∞.</summary>
    public static void Weigh<TStored, TArithmetic>(Index1D index, Loop loop, Arguments<TStored> a)
        where TStored : unmanaged
        where TArithmetic : struct, IArithmetic
    {
        var units = a.Context / Unit;
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (unit, row) = (item % units, a.FirstRow + (item / units / a.Heads));
            var scores = (long)item * Unit;
            var (first, end) = Seen(a, row, unit * Unit, Unit);
            var max = float.NegativeInfinity;
            for (var i = first; i < end; i++)
            {
                var score = a.Scores[scores + i];
                max = score > max ? score : max;
            }

            // Scores that are all no numbers, or none above −∞, are weighed all the same: a row that sees them must not get a number.
            max = max == float.NegativeInfinity && first < end ? 0f : max;
            var sum = 0f;
            for (var i = first; i < end; i++)
            {
                var weight = XMath.Exp(a.Scores[scores + i] - max);
                a.Scores[scores + i] = weight;
                sum = TArithmetic.Add(sum, weight);
            }

            a.Maxima[item] = max;
            a.Sums[item] = sum;
        }
    }

    /// <summary>Σ weight · value over a part, for its own highest maximum. An item is a number of a part of a head of a row.</summary>
    public static void AddValues<TElement, TStored, TArithmetic>(Index1D index, Loop loop, Arguments<TStored> a)
        where TElement : struct, IElement<TStored>
        where TStored : unmanaged
        where TArithmetic : struct, IArithmetic
    {
        var (dim, parts) = (a.Kv.HeadDim, a.Context / Part);
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (i, part, head, row) = (item % dim, item / dim % parts, item / dim / parts % a.Heads, a.FirstRow + (item / dim / parts / a.Heads));
            var (kvHead, of) = (head / (a.Heads / a.Kv.KvHeads), item / dim / parts);
            var sum = 0f;
            var max = Highest(a, of, part * (Part / Unit), (part + 1) * (Part / Unit));
            for (var unit = part * (Part / Unit); unit < (part + 1) * (Part / Unit); unit++)
            {
                var its = a.Maxima[((long)of * (a.Context / Unit)) + unit];
                var (first, end) = Seen(a, row, unit * Unit, Unit);
                if (first >= end || its == float.NegativeInfinity)
                {
                    continue;
                }

                var ofUnit = 0f;
                for (var at = first; at < end; at++)
                {
                    var value = TElement.Load(a.Kv.Values[a.Kv.ValueAt(a.Sight.RowOf(row, (unit * Unit) + at), kvHead) + i]);
                    ofUnit = TArithmetic.MultiplyAdd(a.Scores[((long)of * a.Context) + (unit * Unit) + at], value, ofUnit);
                }

                sum = TArithmetic.MultiplyAdd(XMath.Exp(its - max), ofUnit, sum);
            }

            a.Values[item] = sum;
        }
    }

    /// <summary>The parts by their distance from the highest maximum, over the sum of all weights. An item is a number of a head of a row.</summary>
    public static void Fold<TStored, TArithmetic>(Index1D index, Loop loop, Arguments<TStored> a)
        where TStored : unmanaged
        where TArithmetic : struct, IArithmetic
    {
        var (dim, parts, units) = (a.Kv.HeadDim, a.Context / Part, a.Context / Unit);
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (i, of, row) = (item % dim, item / dim, a.FirstRow + (item / dim / a.Heads));
            var max = Highest(a, of, 0, units);
            var (sum, value) = (0f, 0f);
            for (var unit = 0; unit < units; unit++)
            {
                var its = a.Maxima[((long)of * units) + unit];
                if (its != float.NegativeInfinity)
                {
                    sum = TArithmetic.MultiplyAdd(XMath.Exp(its - max), a.Sums[((long)of * units) + unit], sum);
                }
            }

            for (var part = 0; part < parts; part++)
            {
                var its = Highest(a, of, part * (Part / Unit), (part + 1) * (Part / Unit));
                if (its != float.NegativeInfinity)
                {
                    value = TArithmetic.MultiplyAdd(XMath.Exp(its - max), a.Values[((((long)of * parts) + part) * dim) + i], value);
                }
            }

            a.Y[((long)row * a.StrideY) + ((long)(of % a.Heads) * dim) + i] = value / sum;
        }
    }

    /// <summary>Which of some positions a row sees, counted from the first.</summary>
    private static (int First, int End) Seen<TStored>(Arguments<TStored> a, int row, int start, int length)
        where TStored : unmanaged
    {
        var first = a.Sight.First(row, a.Window) - start;
        var end = a.Sight.Positions[row] + 1 - start;
        return (first > 0 ? first : 0, end < length ? end : length);
    }

    /// <summary>The highest maximum of some units.</summary>
    private static float Highest<TStored>(Arguments<TStored> a, int of, int first, int end)
        where TStored : unmanaged
    {
        var max = float.NegativeInfinity;
        for (var unit = first; unit < end; unit++)
        {
            var its = a.Maxima[((long)of * (a.Context / Unit)) + unit];
            max = its > max ? its : max;
        }

        return max;
    }
}
