using ILGPU;
using NativeSpec.Backends;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>What is fixed of the cache's layout.</summary>
internal static class KvPlanes
{
    /// <summary>From a number of a key to the next.</summary>
    public const int KeyStride = RowBatch.PageSize;
}

/// <summary>Keys and values of a layer: keys as [page][KV head][number][position in page], values as [row][KV head][number], so that both the threads that have a position each
/// and those that have a number of a value each read side by side.</summary>
internal struct KvPlanes<TStored>
    where TStored : unmanaged
{
    public ArrayView<TStored> Keys;
    public ArrayView<TStored> Values;
    public int KvHeads;
    public int HeadDim;

    /// <summary>Where a key begins.</summary>
    public readonly long KeyAt(int row, int head)
        => ((((long)(row / RowBatch.PageSize) * KvHeads) + head) * HeadDim * RowBatch.PageSize) + (row % RowBatch.PageSize);

    /// <summary>Where a value begins.</summary>
    public readonly long ValueAt(int row, int head) => (((long)row * KvHeads) + head) * HeadDim;
}
