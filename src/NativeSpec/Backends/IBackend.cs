using NativeSpec.Tensors;

namespace NativeSpec.Backends;

/// <summary>The operations of a Llama forward on memory that the backend owns. A forward is a fixed sequence of them: one
/// <see cref="Upload"/>, no host read in the middle, one <see cref="Download"/> at the end.</summary>
/// <remarks>
/// <para>Every operation is <b>batch-invariant</b>: the bits of a row's result depend on that row's inputs alone, never on how many
/// rows stand beside it (docs/architecture.md says what this buys and what it forbids).</para>
/// <para>Matrices of activations are row-major, one row per node of the batch, and as wide as the operation says. A backend is
/// used by one thread at a time.</para>
/// </remarks>
internal interface IBackend : IDisposable
{
    /// <summary>Short name: <c>cpu</c>, …</summary>
    string Name { get; }

    /// <summary>What computes here, for people: instruction set, threads, device.</summary>
    string Description { get; }

    /// <summary>Memory for <paramref name="length"/> floats, zeroed.</summary>
    BackendBuffer Allocate(long length);

    /// <summary>Copies a vector (a norm's gain, a bias) to the backend as F32.</summary>
    BackendBuffer ImportVector(TensorView vector);

    /// <summary>Makes weights usable here, in place where the backend can. Several parts with equal input width are stacked along the
    /// output: q·k·v and gate·up become one matmul.</summary>
    /// <param name="parts">Matrices [out_i, in], element type F32, F16 or BF16.</param>
    /// <param name="biases">One vector [out_i] per part or null where a part has none; empty when no part has one.</param>
    BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases);

    /// <summary>Makes an embedding table usable here that is only looked up, never multiplied with: it stays in the file's type even where
    /// weights are packed.</summary>
    /// <param name="table">[vocabulary, width], element type F32, F16 or BF16.</param>
    BackendWeight ImportTable(TensorView table) => ImportWeight([table], [null]);

    /// <summary>Memory for keys and values.</summary>
    BackendKv AllocateKv(in KvShape shape);

    /// <summary>Takes the batch that the next operations work on.</summary>
    void Upload(RowBatch batch);

    /// <summary>x[row] = table[token[row]]; x is [rows, in features of the table].</summary>
    void Embed(BackendWeight table, BackendBuffer x);

    /// <summary>y[row] = x[row] / sqrt(mean(x[row]²) + eps) · gain; x and y are [rows, gain.Length].</summary>
    void RmsNorm(BackendBuffer x, BackendBuffer gain, float eps, BackendBuffer y, int rows);

    /// <summary>y[row] = W x[row] + bias, or y[row] += … when <paramref name="accumulate"/>; x is [rows, in], y is [rows, out].</summary>
    void MatMul(BackendWeight weight, BackendBuffer x, BackendBuffer y, int rows, bool accumulate);

    /// <summary>Turns q and k by the batch's angles (pairs (i, i + headDim/2), as Hugging Face lays them out); q stays in
    /// <paramref name="qkv"/>, k and v go to their cache rows of <paramref name="layer"/>. qkv is [rows, (heads + 2·kvHeads)·headDim].</summary>
    void Rope(BackendBuffer qkv, BackendKv kv, int layer);

    /// <summary>Each node attends to the committed prefix, its ancestors and itself; y is [rows, heads·headDim].</summary>
    void TreeAttention(BackendBuffer qkv, BackendKv kv, int layer, BackendBuffer y);

    /// <summary>y = silu(gate) · up; gateUp is [rows, 2·width] as gate then up, y is [rows, width].</summary>
    void SwiGlu(BackendBuffer gateUp, BackendBuffer y, int rows, int width);

    /// <summary>x += silu(y), the residual block of a Medusa head; x and y are [rows, width].</summary>
    void AddSilu(BackendBuffer x, BackendBuffer y, int rows, int width);

    /// <summary>y[i] = x[<see cref="RowBatch.LogitRows"/>[i]]; rows of <paramref name="width"/>.</summary>
    void GatherLogitRows(BackendBuffer x, BackendBuffer y, int width);

    /// <summary>Copies cache rows in every layer: for each i in turn, row <paramref name="to"/>[i] becomes row <paramref name="from"/>[i].</summary>
    void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to);

    /// <summary>The values of a part of a buffer, readable until the next operation.</summary>
    ReadOnlySpan<float> Download(BackendBuffer buffer, long start, int length);

    /// <summary>Puts values into a part of a buffer: the counterpart of <see cref="Download"/>. The span may be used again when it returns.</summary>
    void Write(BackendBuffer buffer, long start, ReadOnlySpan<float> values);
}

/// <summary>Floats on a backend.</summary>
internal abstract class BackendBuffer(long length) : IDisposable
{
    /// <summary>Number of floats.</summary>
    public long Length { get; } = length;

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>A weight matrix, or several stacked along the output, on a backend.</summary>
internal abstract class BackendWeight(int outFeatures, int inFeatures) : IDisposable
{
    /// <summary>Rows of the matrix: width of a result row.</summary>
    public int OutFeatures { get; } = outFeatures;

    /// <summary>Columns of the matrix: width of an input row.</summary>
    public int InFeatures { get; } = inFeatures;

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>Keys and values of all layers on a backend: per layer two matrices [rows, kvHeads·headDim].</summary>
internal abstract class BackendKv(in KvShape shape) : IDisposable
{
    /// <summary>The extents.</summary>
    public KvShape Shape { get; } = shape;

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>Extents of a key-value cache and of the attention that reads it.</summary>
/// <param name="Layers">Decoder layers.</param>
/// <param name="Rows">Cache rows, one per token that can be held.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key-value heads; <paramref name="Heads"/> is a multiple of it.</param>
/// <param name="HeadDim">Width of a head.</param>
internal readonly record struct KvShape(int Layers, int Rows, int Heads, int KvHeads, int HeadDim)
{
    /// <summary>Width of a row of keys, and of a row of values.</summary>
    public int Width => KvHeads * HeadDim;

    /// <summary>Floats in the cache: keys and values of every layer.</summary>
    public long Length => checked(2L * Layers * Rows * Width);
}
