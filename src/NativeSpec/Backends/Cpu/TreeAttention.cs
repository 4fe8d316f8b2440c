using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>softmax(q · Kᵀ · scale) · V, where a node sees the committed prefix, its ancestors and itself, and nothing else; with a window, of
/// these the last ones.</summary>
/// <remarks>
/// <para>q in qkv: [rows, (heads + 2·kvHeads)·headDim]; keys, values: [cache rows, kvHeads·headDim] of the format; y: [rows, heads·headDim]. A query
/// head h reads key-value head h / (heads / kvHeads).</para>
/// <para>The softmax runs online (Milakov and Gimelshein, 2018) over blocks of <see cref="Block"/> positions, cut at fixed logical
/// positions and visited in order. What a block holds, and so every rounding, depends on positions alone; where a key lies (its own slot
/// or that of a tree node) only decides which address is read. Hence a node's result has the same bits in every tree. A window skips the blocks
/// before it, and in its first block the positions that it does not reach.</para>
/// </remarks>
internal static unsafe class TreeAttention
{
    /// <summary>Positions per step of the online softmax.</summary>
    public const int Block = 32;

    internal struct Arguments
    {
        public float* Qkv;
        public byte* Keys;
        public byte* Values;
        public float* Y;
        public int* Positions;
        public int* Trunk;
        public int* PageStart;
        public int* Pages;
        public int* PathStart;
        public int* PathRows;
        public int Heads;
        public int KvHeads;
        public int HeadDim;
        public int Window; // 0: none
        public float Scale;
    }

    /// <summary>Computes items [begin, end), where item = row · kvHeads + kvHead covers the query heads of that key-value head.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TFormat, TSimd, TVector>(void* arguments, int begin, int end)
        where TFormat : IKvFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        var group = a->Heads / a->KvHeads;
        var stride = (a->Heads + (2 * a->KvHeads)) * a->HeadDim;
        for (var item = begin; item < end; item++)
        {
            var row = item / a->KvHeads;
            var kvHead = item % a->KvHeads;
            for (var head = kvHead * group; head < (kvHead + 1) * group; head++)
            {
                var q = a->Qkv + ((nint)row * stride) + (head * a->HeadDim);
                var y = a->Y + ((nint)row * a->Heads * a->HeadDim) + (head * a->HeadDim);
                Attend<TFormat, TSimd, TVector>(a, row, kvHead * a->HeadDim, q, y);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Attend<TFormat, TSimd, TVector>(Arguments* a, int row, int column, float* q, float* y)
        where TFormat : IKvFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var width = (nint)a->KvHeads * a->HeadDim;
        var headDim = a->HeadDim;
        var scale = a->Scale;
        var count = a->Positions[row] + 1;
        var weights = stackalloc float[Block]; // first the scores of a block, then their exponentials
        var offsets = stackalloc nint[Block];  // where the block's keys and values lie in their plane, in bytes
        new Span<float>(y, headDim).Clear();
        var max = float.NegativeInfinity;
        var total = 0f;
        var firstSeen = a->Window == 0 ? 0 : Math.Max(0, count - a->Window);
        for (var start = firstSeen - (firstSeen % Block); start < count; start += Block)
        {
            var first = Math.Max(0, firstSeen - start);
            var length = Math.Min(Block, count - start);
            Locate(a, row, start, first, length, width * TFormat.Size, (nint)column * TFormat.Size, offsets);
            var blockMax = max;
            for (var j = 0; j < first; j++)
            {
                weights[j] = float.NegativeInfinity;
            }

            for (var j = first; j < length; j++)
            {
                weights[j] = Dot<TFormat, TSimd, TVector>(q, a->Keys + offsets[j], headDim) * scale;
                blockMax = weights[j] > blockMax ? weights[j] : blockMax;
            }

            for (var j = length; j < Block; j++)
            {
                weights[j] = float.NegativeInfinity;
            }

            var shrink = SimdMath.Exp<SimdScalar, float>(max - blockMax);
            for (var j = 0; j < Block; j += TSimd.Width)
            {
                TSimd.Store(SimdMath.Exp<TSimd, TVector>(TSimd.Subtract(TSimd.Load(weights + j), TSimd.Create(blockMax))), weights + j);
            }

            var sum = 0f;
            for (var j = first; j < length; j++)
            {
                sum += weights[j];
            }

            total = (total * shrink) + sum;
            max = blockMax;
            AddValues<TFormat, TSimd, TVector>(a->Values, offsets, weights, first, length, shrink, y, headDim);
        }

        for (var d = 0; d < headDim; d++)
        {
            y[d] /= total;
        }
    }

    /// <summary>Finds where the keys of positions [start + first, start + length) lie, for this row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Locate(Arguments* a, int row, int start, int first, int length, nint width, nint column, nint* offsets)
    {
        var trunk = a->Trunk[row];
        var pages = a->Pages + a->PageStart[row];
        var path = a->PathRows + a->PathStart[row] - trunk;
        for (var j = first; j < length; j++)
        {
            var position = start + j;
            var cacheRow = position < trunk
                ? (pages[position / RowBatch.PageSize] * RowBatch.PageSize) + (position % RowBatch.PageSize)
                : path[position];
            offsets[j] = (cacheRow * width) + column;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot<TFormat, TSimd, TVector>(float* a, byte* b, int length)
        where TFormat : IKvFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var lanes = TSimd.Create(0);
        var i = 0;
        for (; i + TSimd.Width <= length; i += TSimd.Width)
        {
            lanes = TSimd.MultiplyAdd(TSimd.Load(a + i), TFormat.Load<TSimd, TVector>(b, i), lanes);
        }

        var sum = TSimd.Sum(lanes);
        for (; i < length; i++)
        {
            sum += a[i] * TFormat.LoadOne(b, i);
        }

        return sum;
    }

    /// <summary>y = y · shrink + Σ_j weights[j] · values[j] for j from first on, positions in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddValues<TFormat, TSimd, TVector>(byte* values, nint* offsets, float* weights, int first, int length, float shrink, float* y, int headDim)
        where TFormat : IKvFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var d = 0;
        for (; d + (4 * TSimd.Width) <= headDim; d += 4 * TSimd.Width)
        {
            var shrinks = TSimd.Create(shrink);
            var s0 = TSimd.Multiply(TSimd.Load(y + d), shrinks);
            var s1 = TSimd.Multiply(TSimd.Load(y + d + TSimd.Width), shrinks);
            var s2 = TSimd.Multiply(TSimd.Load(y + d + (2 * TSimd.Width)), shrinks);
            var s3 = TSimd.Multiply(TSimd.Load(y + d + (3 * TSimd.Width)), shrinks);
            for (var j = first; j < length; j++)
            {
                var v = values + offsets[j];
                var w = TSimd.Create(weights[j]);
                s0 = TSimd.MultiplyAdd(w, TFormat.Load<TSimd, TVector>(v, d), s0);
                s1 = TSimd.MultiplyAdd(w, TFormat.Load<TSimd, TVector>(v, d + TSimd.Width), s1);
                s2 = TSimd.MultiplyAdd(w, TFormat.Load<TSimd, TVector>(v, d + (2 * TSimd.Width)), s2);
                s3 = TSimd.MultiplyAdd(w, TFormat.Load<TSimd, TVector>(v, d + (3 * TSimd.Width)), s3);
            }

            TSimd.Store(s0, y + d);
            TSimd.Store(s1, y + d + TSimd.Width);
            TSimd.Store(s2, y + d + (2 * TSimd.Width));
            TSimd.Store(s3, y + d + (3 * TSimd.Width));
        }

        for (; d + TSimd.Width <= headDim; d += TSimd.Width)
        {
            var s = TSimd.Multiply(TSimd.Load(y + d), TSimd.Create(shrink));
            for (var j = first; j < length; j++)
            {
                s = TSimd.MultiplyAdd(TSimd.Create(weights[j]), TFormat.Load<TSimd, TVector>(values + offsets[j], d), s);
            }

            TSimd.Store(s, y + d);
        }

        for (; d < headDim; d++)
        {
            var s = y[d] * shrink;
            for (var j = first; j < length; j++)
            {
                s += weights[j] * TFormat.LoadOne(values + offsets[j], d);
            }

            y[d] = s;
        }
    }
}
