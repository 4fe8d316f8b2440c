using NativeSpec.Tensors;

namespace NativeSpec.Backends;

/// <summary>Where models compute: it holds weights, keys and values, and compiles forwards (<see cref="ForwardPlan"/>) into programs.</summary>
/// <remarks>Used by one thread at a time, with its programs.</remarks>
internal interface IBackend : IDisposable
{
    /// <summary><see cref="PromptRows"/> of processors.</summary>
    const int DefaultPromptRows = 256;

    /// <summary>Short name: <c>cpu</c>, …</summary>
    string Name { get; }

    /// <summary>What computes here, for people: instruction set, threads, device.</summary>
    string Description { get; }

    /// <summary>Bytes of the memory that models compute in: what this process may use of the machine's, or a device's own.</summary>
    long MemoryBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>Rows of prompts that a forward has at most where nobody says: more make prompts hardly faster.</summary>
    int PromptRows => DefaultPromptRows;

    /// <summary>Measures the bytes per second that it copies in a memory of its own, read and written ones alike; null where it computes in the host's.</summary>
    double? MeasureCopying() => null;

    /// <summary>Bytes that a row of all layers takes in <see cref="AllocateKv"/>'s memory.</summary>
    /// <param name="shape">The extents, of one row.</param>
    long KvBytesPerRow(in KvShape shape) => shape.Length * sizeof(float);

    /// <summary>Copies a vector (a norm's gain) to the backend as F32.</summary>
    BackendVector ImportVector(TensorView vector);

    /// <summary>Makes weights usable here, in place where the backend can. Several parts with equal input width are stacked along the
    /// output: q·k·v and gate·up become one projection.</summary>
    /// <param name="parts">Matrices [out_i, in], element type F32, F16 or BF16.</param>
    /// <param name="biases">One vector [out_i] per part or null where a part has none; empty when no part has one.</param>
    BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases);

    /// <summary>Makes an embedding table usable here that is only looked up, never multiplied with: it stays in the file's type even where
    /// weights are packed.</summary>
    /// <param name="table">[vocabulary, width], element type F32, F16 or BF16.</param>
    BackendWeight ImportTable(TensorView table) => ImportWeight([table], [null]);

    /// <summary>Memory for keys and values.</summary>
    BackendKv AllocateKv(in KvShape shape);

    /// <summary>Copies cache rows in every layer: for each i in turn, row <paramref name="to"/>[i] becomes row <paramref name="from"/>[i].</summary>
    void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to);

    /// <summary>Makes a forward ready to run: buffers for the most rows that the plan allows.</summary>
    IForwardProgram Compile(ForwardPlan plan);
}

/// <summary>A compiled forward with its buffers. Nothing is read by the host while it runs, and a run allocates nothing.</summary>
internal interface IForwardProgram : IDisposable
{
    /// <summary>Bytes of its buffers.</summary>
    long BufferBytes { get; }

    /// <summary>Computes the plan for a batch.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="kv">Their keys and values; null where the plan attends to nothing.</param>
    /// <param name="cancellationToken">Looked at where the plan says that a layer begins.</param>
    /// <exception cref="ArgumentException">The batch outgrows the plan, or points outside a table or the cache.</exception>
    /// <exception cref="ObjectDisposedException">The program, a weight's file or the cache is disposed.</exception>
    void Run(RowBatch batch, BackendKv? kv = null, CancellationToken cancellationToken = default);

    /// <summary>Makes all room that runs with this cache and batch take; the first of them does it where nobody has asked.</summary>
    void Prepare(BackendKv kv, RowBatch batch)
    {
    }

    /// <summary>[width] a row of a kept value, readable until the next run.</summary>
    ReadOnlySpan<float> Read(Rows value, int row);

    /// <summary>Puts a row of an input in.</summary>
    void Write(Rows input, int row, ReadOnlySpan<float> values);

    /// <summary>Puts a row of an input in that another program of this backend has computed, without a trip over the host.</summary>
    void Copy(Rows input, int row, IForwardProgram from, Rows value, int fromRow);
}

/// <summary>A vector of floats on a backend: a norm's gain.</summary>
internal abstract class BackendVector(long length) : IDisposable
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

    /// <summary>Refuses rows that the cache does not have.</summary>
    public void RequireRows(ReadOnlySpan<int> rows)
    {
        foreach (var row in rows)
        {
            if ((uint)row >= (uint)Rows)
            {
                throw new ArgumentOutOfRangeException(nameof(rows), $"cache row {row} of {Rows}");
            }
        }
    }
}
