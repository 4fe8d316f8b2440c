using NativeSpec.Loading;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;

namespace NativeSpec.Training.Layers;

/// <summary>Causal self-attention with grouped key-value heads (Vaswani et al., 2017; Ainslie et al., 2023). For a query head, with
/// rows i, j of one sequence and c = 1/sqrt(headDim):
/// <code>
/// p_ij = softmax_j(c · q_i·k_j), j ≤ i          o_i = Σ_j p_ij v_j
/// dv_j = Σ_i p_ij do_i        dp_ij = do_i·v_j        ds_ij = c · p_ij (dp_ij − Σ_m p_im dp_im)
/// dq_i = Σ_j ds_ij k_j        dk_j  = Σ_i ds_ij q_i
/// </code></summary>
/// <remarks>qkv: [rows, (heads + 2·kvHeads)·headDim]; o: [rows, heads·headDim]; p: [sequences·heads·length, padded length], kept for the
/// gradient. Keys and values are turned to [headDim, length] first, so that every sum runs over long rows. A key-value head of a
/// sequence, with the query heads that share it, is one piece of work; dk and dv are summed within it.</remarks>
internal sealed unsafe class CausalAttention(Workbench bench, LlamaConfig config)
{
    private const int QueryBlock = 16;   // rows of p and ds that are multiplied with q and do at once; divides RowKernels.Block
    private const int StrideOffset = 16; // keeps the rows of turned keys and values from falling onto the same places of the cache

    private readonly int _headDim = config.HeadDim;
    private readonly int _kvHeads = config.NumKeyValueHeads;
    private readonly int _group = config.NumAttentionHeads / config.NumKeyValueHeads;
    private readonly int _heads = config.NumAttentionHeads;
    private readonly float _scale = 1 / MathF.Sqrt(config.HeadDim);

    /// <summary>Rows and columns of p for a batch's extents.</summary>
    public static (int Rows, int Columns) ProbabilityShape(LlamaConfig config, int sequences, int length)
        => (checked(sequences * config.NumAttentionHeads * length), RowKernels.Pad(length));

    public void Forward(Matrix qkv, Matrix probabilities, Matrix output, TokenBatch batch)
    {
        bench.ForRanges(batch.Sequences * _kvHeads, (begin, end) =>
        {
            for (var item = begin; item < end; item++)
            {
                ForwardHead(new Piece(this, batch, item), qkv, probabilities, output);
            }
        });
        bench.Count(2.0 * batch.Rows * batch.Length * _heads * _headDim); // two products over the half that is seen
    }

    /// <summary>Writes dqkv, all of it.</summary>
    public void Backward(Matrix qkv, Matrix probabilities, Matrix dOutput, Matrix dqkv, TokenBatch batch)
    {
        bench.ForRanges(batch.Sequences * _kvHeads, (begin, end) =>
        {
            for (var item = begin; item < end; item++)
            {
                BackwardHead(new Piece(this, batch, item), qkv, probabilities, dOutput, dqkv);
            }
        });
        bench.Count(4.0 * batch.Rows * batch.Length * _heads * _headDim);
    }

    private void ForwardHead(Piece piece, Matrix qkv, Matrix probabilities, Matrix output)
    {
        var stride = probabilities.Columns + StrideOffset;
        using var memory = bench.Borrow(((2 * _headDim) + 2) * stride);
        float* keys = memory.Pointer, values = keys + (_headDim * stride), scores = values + (_headDim * stride);
        ReadColumns(qkv, piece, piece.KeyColumn, keys, stride);
        ReadColumns(qkv, piece, piece.ValueColumn, values, stride);
        for (var head = 0; head < _group; head++)
        {
            for (var i = 0; i < piece.Length; i += 2)
            {
                // Two rows at once; the last one alone is computed twice, into the same place.
                var second = i + 1 < piece.Length ? 1 : 0;
                var padded = RowKernels.Pad(i + 1 + second);
                var row = (nint)(piece.FirstRow + i);
                var q = qkv.Pointer + (row * qkv.Columns) + piece.QueryColumn(head);
                var p = probabilities.Pointer + ((nint)(piece.ProbabilityRow(head) + i) * probabilities.Columns);
                var o = output.Pointer + (row * output.Columns) + piece.OutputColumn(head);
                RowKernels.Combine(q, second * qkv.Columns, 1, _headDim, keys, stride, scores, second * stride, padded, accumulate: false);
                for (var r = 0; r <= second; r++)
                {
                    SoftmaxKernels.Forward(scores + (r * stride), i + r + 1, _scale, p + (r * probabilities.Columns), padded);
                }

                RowKernels.Dots(p, second * probabilities.Columns, values, stride, _headDim, o, second * output.Columns, padded);
            }
        }
    }

    private void BackwardHead(Piece piece, Matrix qkv, Matrix probabilities, Matrix dOutput, Matrix dqkv)
    {
        var stride = probabilities.Columns + StrideOffset;
        using var memory = bench.Borrow(((4 * _headDim) + QueryBlock) * stride);
        float* keys = memory.Pointer, values = keys + (_headDim * stride);
        float* dKeys = values + (_headDim * stride), dValues = dKeys + (_headDim * stride), ds = dValues + (_headDim * stride);
        ReadColumns(qkv, piece, piece.KeyColumn, keys, stride);
        ReadColumns(qkv, piece, piece.ValueColumn, values, stride);
        for (var head = 0; head < _group; head++)
        {
            for (var first = 0; first < piece.Length; first += QueryBlock)
            {
                var count = Math.Min(QueryBlock, piece.Length - first);
                var padded = RowKernels.Pad(first + count);
                var p = probabilities.Pointer + ((nint)(piece.ProbabilityRow(head) + first) * probabilities.Columns);
                var q = qkv.Pointer + ((nint)(piece.FirstRow + first) * qkv.Columns) + piece.QueryColumn(head);
                var dq = dqkv.Pointer + ((nint)(piece.FirstRow + first) * dqkv.Columns) + piece.QueryColumn(head);
                var dOut = dOutput.Pointer + ((nint)(piece.FirstRow + first) * dOutput.Columns) + piece.OutputColumn(head);
                for (var i = 0; i < count; i += 2)
                {
                    var second = i + 1 < count ? 1 : 0;
                    var row = ds + (i * stride);
                    RowKernels.Combine(
                        dOut + (i * dOutput.Columns), second * dOutput.Columns, 1, _headDim, values, stride, row, second * stride, padded, accumulate: false);
                    for (var r = 0; r <= second; r++)
                    {
                        SoftmaxKernels.Backward(p + ((i + r) * probabilities.Columns), _scale, row + (r * stride), padded);
                    }

                    RowKernels.Dots(row, second * stride, keys, stride, _headDim, dq + (i * dqkv.Columns), second * dqkv.Columns, padded);
                }

                for (var c = 0; c < _headDim; c += 2)
                {
                    RowKernels.Combine(q + c, 1, qkv.Columns, count, ds, stride, dKeys + (c * stride), stride, padded, accumulate: true);
                }

                for (var c = 0; c < _headDim; c += 2)
                {
                    RowKernels.Combine(dOut + c, 1, dOutput.Columns, count, p, probabilities.Columns, dValues + (c * stride), stride, padded, accumulate: true);
                }
            }
        }

        WriteColumns(dKeys, stride, dqkv, piece, piece.KeyColumn);
        WriteColumns(dValues, stride, dqkv, piece, piece.ValueColumn);
    }

    /// <summary>[length, headDim] of qkv as [headDim, stride].</summary>
    private void ReadColumns(Matrix qkv, Piece piece, int column, float* to, int stride)
        => Transposition.Turn(qkv.Pointer + ((nint)piece.FirstRow * qkv.Columns) + column, qkv.Columns, piece.Length, _headDim, to, stride);

    private void WriteColumns(float* from, int stride, Matrix dqkv, Piece piece, int column)
        => Transposition.Turn(from, stride, _headDim, piece.Length, dqkv.Pointer + ((nint)piece.FirstRow * dqkv.Columns) + column, dqkv.Columns);

    /// <summary>Where a key-value head of a sequence, and the query heads that share it, lie in the matrices.</summary>
    private readonly struct Piece(CausalAttention attention, TokenBatch batch, int item)
    {
        private readonly int _sequence = item / attention._kvHeads;
        private readonly int _kvHead = item % attention._kvHeads;

        public int Length { get; } = batch.Length;

        public int FirstRow => _sequence * Length;

        public int KeyColumn => (attention._heads + _kvHead) * attention._headDim;

        public int ValueColumn => (attention._heads + attention._kvHeads + _kvHead) * attention._headDim;

        public int QueryColumn(int head) => ((_kvHead * attention._group) + head) * attention._headDim;

        public int OutputColumn(int head) => QueryColumn(head);

        public int ProbabilityRow(int head) => ((_sequence * attention._heads) + (_kvHead * attention._group) + head) * Length;
    }
}
