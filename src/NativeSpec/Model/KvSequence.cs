using System.Runtime.InteropServices;
using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>One sequence's place in a <see cref="KvCache"/>.</summary>
internal sealed class KvSequence : IDisposable
{
    private readonly KvCache _cache;
    private readonly List<int> _pages = [];
    private bool _disposed;

    internal KvSequence(KvCache cache) => _cache = cache;

    /// <summary>Committed tokens.</summary>
    public int Length { get; private set; }

    /// <summary>Most tokens, tree nodes included, that it has reserved room for.</summary>
    public int Capacity { get; private set; }

    /// <summary>Page numbers, in slot order.</summary>
    internal ReadOnlySpan<int> Pages => CollectionsMarshal.AsSpan(_pages);

    internal KvCache Cache => _cache;

    /// <summary>Its pages may be another's.</summary>
    internal bool IsDisposed => _disposed;

    /// <summary>Makes room for <paramref name="capacity"/> tokens, tree nodes included, by as many further pages as that takes; false, and
    /// nothing changed, when the pool has too few free ones now. What is reserved already stays.</summary>
    public bool TryReserve(int capacity)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_cache.TryTake(Math.Max(KvCache.PagesFor(capacity) - _pages.Count, 0), _pages))
        {
            return false;
        }

        Capacity = Math.Max(Capacity, capacity);
        return true;
    }

    /// <summary>Accepts a path of the tree that was just computed: its tokens become part of the prefix, all other nodes are forgotten.</summary>
    /// <param name="path">Node indices from the root down, in tree order; the first is 0.</param>
    /// <exception cref="ArgumentException">The indices do not begin at 0, do not grow, or lie past the capacity.</exception>
    public void Commit(ReadOnlySpan<int> path)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        for (var i = 0; i < path.Length; i++)
        {
            if (i == 0 ? path[0] != 0 : path[i] <= path[i - 1] || path[i] >= Capacity - Length)
            {
                throw new ArgumentException($"a path begins at node 0 and grows; entry {i} is {path[i]}", nameof(path));
            }
        }

        _cache.Move(this, path);
        Length += path.Length;
    }

    /// <summary>Accepts the first <paramref name="count"/> nodes of a chain, which already lie where they belong.</summary>
    public void CommitChain(int count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Capacity - Length);
        Length += count;
    }

    /// <summary>Rolls back to the first <paramref name="length"/> tokens.</summary>
    public void Truncate(int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Gives the pages back.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _cache.Return(_pages);
        }
    }

    /// <summary>The cache row of a slot.</summary>
    internal int Row(int slot) => (_pages[slot / RowBatch.PageSize] * RowBatch.PageSize) + (slot % RowBatch.PageSize);
}
