using System.Runtime.InteropServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Native;

/// <summary>Weights as the library holds them, and the first matrix where it lies in the file, for looking up embeddings.</summary>
/// <param name="outFeatures">Rows.</param>
/// <param name="inFeatures">Columns.</param>
/// <param name="table">Where embeddings are looked up; without data in a packed matrix.</param>
/// <param name="handle">Null for a table that is only looked up.</param>
/// <param name="stacked">Memory of packed parts that had to be stacked; null where they are used in place.</param>
internal sealed class NativeWeight(int outFeatures, int inFeatures, NativePart table, NativeWeightHandle? handle, NativeBuffer<byte>? stacked = null)
    : BackendWeight(outFeatures, inFeatures), IHostWeight
{
    public NativePart Table { get; } = table;

    /// <inheritdoc/>
    public required IEnumerable<SafeHandle> Memories { get; init; }

    /// <summary>Null for a table that is only looked up.</summary>
    public NativeWeightHandle? Handle { get; } = handle;

    public override void Dispose()
    {
        Handle?.Dispose();
        stacked?.Dispose();
    }
}

/// <summary>Keys and values: [layer][keys | values][row][kvHead][headDim] of F32 or BF16.</summary>
internal sealed unsafe class NativeKv : BackendKv
{
    private readonly NativeBuffer<byte> _memory;
    private readonly NativeKvView _view;

    public NativeKv(in KvShape shape, DType type)
        : base(shape)
    {
        _memory = new NativeBuffer<byte>(checked(shape.Length * type.Size()));
        _view = new NativeKvView
        {
            Data = _memory.Pointer,
            Rows = shape.Rows,
            Layers = shape.Layers,
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
            Type = (int)NativeBackend.ElementType(type),
        };
    }

    /// <summary>What the library is told.</summary>
    /// <exception cref="ObjectDisposedException">The cache is disposed.</exception>
    public NativeKvView View
    {
        get
        {
            ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
            return _view;
        }
    }

    public override void Dispose() => _memory.Dispose();
}
