using System.Numerics.Tensors;
using NativeSpec.Loading.Llama;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;

namespace NativeSpec.Training.Layers;

/// <summary>Causal self-attention with grouped key-value heads (Vaswani et al., 2017; Ainslie et al., 2023). For a query head, with
/// rows i, j of one sequence and c = 1/sqrt(headDim):
/// <code>
/// s_ij = c · q_i·k_j, j ≤ i        l_i = ln Σ_j exp(s_ij)        p_ij = exp(s_ij − l_i)        o_i = Σ_j p_ij v_j
/// dv_j = Σ_i p_ij do_i             dp_ij = do_i·v_j              ds_ij = c · p_ij (dp_ij − do_i·o_i)
/// dq_i = Σ_j ds_ij k_j             dk_j  = Σ_i ds_ij q_i
/// </code></summary>
/// <remarks>qkv: [rows, (heads + 2·kvHeads)·headDim]; o: [rows, heads·headDim]; l: [sequences·heads, length], all that is kept of p, which is
/// computed again for the gradient (Dao et al., 2022). A key-value head of a sequence, with the query heads that share it, is one piece of work;
/// dk and dv are summed within it. Within a piece everything is a product of a block of queries with the keys that its last one sees.</remarks>
internal sealed unsafe class CausalAttention(Workbench bench, LlamaConfig config)
{
    private const int QueryBlock = 48;   // queries of a block, of whose scores a triangle is computed in vain
    private const int StrideOffset = 16; // keeps the rows of scores from falling onto the same places of the cache

    private readonly int _headDim = config.HeadDim;
    private readonly int _kvHeads = config.NumKeyValueHeads;
    private readonly int _group = config.NumAttentionHeads / config.NumKeyValueHeads;
    private readonly int _heads = config.NumAttentionHeads;
    private readonly float _scale = 1 / MathF.Sqrt(config.HeadDim);

    /// <summary>Writes o and l.</summary>
    public void Forward(Matrix qkv, Matrix logSums, Matrix output, TokenBatch batch)
    {
        bench.ForRanges(batch.Sequences * _kvHeads, 1, (begin, end) =>
        {
            for (var item = begin; item < end; item++)
            {
                ForwardHead(new Piece(this, batch, item), qkv, logSums, output);
            }
        });
        bench.Count(2.0 * batch.Rows * batch.Length * _heads * _headDim); // two products over the half that is seen
    }

    /// <summary>Writes dqkv, all of it, from o and l of the forward.</summary>
    public void Backward(Matrix qkv, Matrix logSums, Matrix output, Matrix dOutput, Matrix dqkv, TokenBatch batch)
    {
        bench.ForRanges(batch.Sequences * _kvHeads, 1, (begin, end) =>
        {
            for (var item = begin; item < end; item++)
            {
                BackwardHead(new Piece(this, batch, item), qkv, logSums, output, dOutput, dqkv);
            }
        });
        bench.Count(4.0 * batch.Rows * batch.Length * _heads * _headDim); // four; the fifth, for p, is not counted
    }

    private void ForwardHead(Piece piece, Matrix qkv, Matrix logSums, Matrix output)
    {
        var padded = SoftmaxKernels.Pad(piece.Length);
        int stride = padded + StrideOffset, panels = PanelFloats(piece.Length), rows = padded * _headDim;
        using var memory = bench.Borrow(panels + rows + (QueryBlock * stride));
        var values = new Block(memory.Pointer + panels, _headDim);
        var scores = new Block(values.First + rows, stride);
        var keys = Turn(qkv, piece, piece.KeyColumn, memory.Pointer);
        var sums = stackalloc float[QueryBlock];
        CopyRows(piece.In(qkv, 0, piece.ValueColumn), values, piece.Length);
        for (var head = 0; head < _group; head++)
        {
            var l = logSums.Pointer + ((nint)piece.LogSumRow(head) * logSums.Columns);
            for (var first = 0; first < piece.Length; first += QueryBlock)
            {
                var count = Math.Min(QueryBlock, piece.Length - first);
                var seen = SoftmaxKernels.Pad(first + count);
                var o = piece.In(output, first, piece.QueryColumn(head));
                bench.Compute(new Product(count, seen, _headDim, piece.In(qkv, first, piece.QueryColumn(head)), keys, scores));
                for (var i = 0; i < count; i++)
                {
                    (l[first + i], sums[i]) = SoftmaxKernels.Forward(scores.At(i, 0).First, first + i + 1, _scale, seen);
                }

                bench.Compute(new Product(count, _headDim, seen, scores, values, o));
                for (var i = 0; i < count; i++)
                {
                    var row = new Span<float>(o.At(i, 0).First, _headDim);
                    TensorPrimitives.Multiply(row, 1 / sums[i], row);
                }
            }
        }
    }

    private void BackwardHead(Piece piece, Matrix qkv, Matrix logSums, Matrix output, Matrix dOutput, Matrix dqkv)
    {
        var padded = SoftmaxKernels.Pad(piece.Length);
        int stride = padded + StrideOffset, panels = PanelFloats(piece.Length), rows = padded * _headDim;
        using var memory = bench.Borrow((2 * panels) + (3 * rows) + (2 * QueryBlock * stride));
        var keys = new Block(memory.Pointer + (2 * panels), _headDim);
        Block dKeys = new(keys.First + rows, _headDim), dValues = new(dKeys.First + rows, _headDim);
        Block p = new(dValues.First + rows, stride), ds = new(p.First + (QueryBlock * stride), stride);
        var keysTurned = Turn(qkv, piece, piece.KeyColumn, memory.Pointer);
        var valuesTurned = Turn(qkv, piece, piece.ValueColumn, memory.Pointer + panels);
        CopyRows(piece.In(qkv, 0, piece.KeyColumn), keys, piece.Length);
        for (var head = 0; head < _group; head++)
        {
            var l = logSums.Pointer + ((nint)piece.LogSumRow(head) * logSums.Columns);
            for (var first = 0; first < piece.Length; first += QueryBlock)
            {
                var count = Math.Min(QueryBlock, piece.Length - first);
                var seen = SoftmaxKernels.Pad(first + count);
                var q = piece.In(qkv, first, piece.QueryColumn(head));
                var (o, dOut) = (piece.In(output, first, piece.QueryColumn(head)), piece.In(dOutput, first, piece.QueryColumn(head)));
                bench.Compute(new Product(count, seen, _headDim, q, keysTurned, p));
                bench.Compute(new Product(count, seen, _headDim, dOut, valuesTurned, ds));
                for (var i = 0; i < count; i++)
                {
                    var along = TensorPrimitives.Dot(new ReadOnlySpan<float>(dOut.At(i, 0).First, _headDim), new ReadOnlySpan<float>(o.At(i, 0).First, _headDim));
                    SoftmaxKernels.Backward(p.At(i, 0).First, ds.At(i, 0).First, l[first + i], along, first + i + 1, _scale, seen);
                }

                bench.Compute(new Product(count, _headDim, seen, ds, keys, piece.In(dqkv, first, piece.QueryColumn(head))));
                bench.Compute(new Product(first + count, _headDim, count, ds, q, dKeys, turned: true, accumulate: true));
                bench.Compute(new Product(first + count, _headDim, count, p, dOut, dValues, turned: true, accumulate: true));
            }
        }

        CopyRows(dKeys, piece.In(dqkv, 0, piece.KeyColumn), piece.Length);
        CopyRows(dValues, piece.In(dqkv, 0, piece.ValueColumn), piece.Length);
    }

    /// <summary>Room for [headDim, length] in panels, the last one whole.</summary>
    private int PanelFloats(int length) => (length + Product.Panel - 1) / Product.Panel * Product.Panel * _headDim;

    /// <summary>A head's [length, headDim] of qkv turned to [headDim, length], in panels; the columns behind stay zero.</summary>
    private Block Turn(Matrix qkv, Piece piece, int column, float* to)
    {
        for (var first = 0; first < piece.Length; first += Product.Panel)
        {
            var from = piece.In(qkv, first, column);
            Transposition.Turn(
                from.First, from.Stride, Math.Min(Product.Panel, piece.Length - first), _headDim, to + ((nint)first * _headDim), Product.Panel);
        }

        return new Block(to, Product.Panel, Product.Panel * _headDim);
    }

    private void CopyRows(Block from, Block to, int rows)
    {
        for (var row = 0; row < rows; row++)
        {
            new ReadOnlySpan<float>(from.At(row, 0).First, _headDim).CopyTo(new Span<float>(to.At(row, 0).First, _headDim));
        }
    }

    /// <summary>Where a key-value head of a sequence, and the query heads that share it, lie in the matrices.</summary>
    private readonly struct Piece(CausalAttention attention, TokenBatch batch, int item)
    {
        private readonly int _sequence = item / attention._kvHeads;
        private readonly int _kvHead = item % attention._kvHeads;

        public int Length { get; } = batch.Length;

        public int KeyColumn => (attention._heads + _kvHead) * attention._headDim;

        public int ValueColumn => (attention._heads + attention._kvHeads + _kvHead) * attention._headDim;

        /// <summary>Of q in qkv, and of o in the output.</summary>
        public int QueryColumn(int head) => ((_kvHead * attention._group) + head) * attention._headDim;

        public int LogSumRow(int head) => (_sequence * attention._heads) + (_kvHead * attention._group) + head;

        /// <summary>A matrix from a row of the sequence and a column on.</summary>
        public Block In(Matrix matrix, int row, int column) => new(matrix.Pointer + ((nint)((_sequence * Length) + row) * matrix.Columns) + column, matrix.Columns);
    }
}
