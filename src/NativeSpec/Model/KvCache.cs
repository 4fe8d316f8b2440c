using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>The key-value rows of all sequences: a pool of pages of <see cref="RowBatch.PageSize"/> rows (paged attention, Kwon et al., 2023).
/// A sequence takes pages as it needs them; when the pool is empty, whoever owns the sequences decides which of them gives its pages
/// back.</summary>
/// <remarks>A sequence's committed tokens lie in slots 0 … Length − 1, a tree's nodes in the slots after them, in node order. Accepting a
/// path moves its rows to the front of those; rolling back is forgetting. Used by one thread.</remarks>
internal sealed class KvCache : IDisposable
{
    private readonly IBackend _backend;
    private readonly Stack<int> _freePages;
    private readonly int[] _from;
    private readonly int[] _to;

    internal KvCache(IBackend backend, in KvShape shape, int maxTreeNodes)
    {
        _backend = backend;
        Storage = backend.AllocateKv(shape);
        TotalPages = shape.Rows / RowBatch.PageSize;
        _freePages = new Stack<int>(TotalPages);
        for (var page = TotalPages - 1; page >= 0; page--)
        {
            _freePages.Push(page);
        }

        _from = new int[maxTreeNodes];
        _to = new int[maxTreeNodes];
    }

    /// <summary>Pages in the pool.</summary>
    public int TotalPages { get; }

    /// <summary>Pages that no sequence holds.</summary>
    public int FreePages => _freePages.Count;

    /// <summary>The memory itself.</summary>
    internal BackendKv Storage { get; }

    /// <summary>Pages that hold so many tokens.</summary>
    public static int PagesFor(int tokens) => (int)(((long)tokens + RowBatch.PageSize - 1) / RowBatch.PageSize);

    /// <summary>A sequence without pages: <see cref="KvSequence.TryReserve"/> gives it some.</summary>
    public KvSequence Open() => new(this);

    /// <summary>A sequence with room for <paramref name="capacity"/> tokens, tree nodes included; null when the pool has too few free pages
    /// now.</summary>
    public KvSequence? TryOpen(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        var sequence = Open();
        return sequence.TryReserve(capacity) ? sequence : null;
    }

    /// <inheritdoc/>
    public void Dispose() => Storage.Dispose();

    /// <summary>Moves free pages to the end of <paramref name="pages"/>: all that are asked for, or none when there are fewer.</summary>
    internal bool TryTake(int count, List<int> pages)
    {
        if (count > _freePages.Count)
        {
            return false;
        }

        for (; count > 0; count--)
        {
            pages.Add(_freePages.Pop());
        }

        return true;
    }

    internal void Return(List<int> pages)
    {
        foreach (var page in pages)
        {
            _freePages.Push(page);
        }
    }

    /// <summary>Moves the rows of the nodes on <paramref name="path"/> to the slots after the prefix.</summary>
    internal void Move(KvSequence sequence, ReadOnlySpan<int> path)
    {
        var count = 0;
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] != i)
            {
                // Node order is topological, so a source is never before its target and no row is overwritten before it is read.
                _from[count] = sequence.Row(sequence.Length + path[i]);
                _to[count++] = sequence.Row(sequence.Length + i);
            }
        }

        if (count > 0)
        {
            _backend.MoveKvRows(Storage, _from.AsSpan(0, count), _to.AsSpan(0, count));
        }
    }
}
