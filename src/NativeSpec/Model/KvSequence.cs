using System.Runtime.InteropServices;
using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>One sequence's place in a <see cref="KvCache"/>: pages that it may share with others, which it only reads, and behind them its
/// own, which it writes.</summary>
internal sealed class KvSequence : IDisposable
{
    private readonly KvCache _cache;
    private readonly List<int> _pages = [];
    private readonly List<int> _walked = []; // of the tree that was just computed
    private int _sharedPages;
    private long _parent; // the number of the last shared page; before there is one, the root of its salt
    private bool _cannotShare;
    private bool _disposed;

    internal KvSequence(KvCache cache, long root) => (_cache, _parent) = (cache, root);

    /// <summary>Committed tokens.</summary>
    public int Length { get; private set; }

    /// <summary>Most tokens, tree nodes included, that it has reserved room for.</summary>
    public int Capacity { get; private set; }

    /// <summary>Tokens in pages that others may read too: they are never written again.</summary>
    public int SharedTokens => _sharedPages * RowBatch.PageSize;

    /// <summary>Page numbers, in slot order.</summary>
    internal ReadOnlySpan<int> Pages => CollectionsMarshal.AsSpan(_pages);

    internal KvCache Cache => _cache;

    /// <summary>The nodes of the tree that was just computed, the root first, whose keys and values the forward has moved to the slots behind the prefix by itself
    /// (<see cref="ITreeWalks"/>); empty where it has not.</summary>
    internal ReadOnlySpan<int> Walked => CollectionsMarshal.AsSpan(_walked);

    /// <summary>Takes down what a forward has walked.</summary>
    internal void NoteWalk(ReadOnlySpan<int> path)
    {
        _walked.Clear();
        _walked.AddRange(path);
    }

    /// <summary>Its pages may be another's.</summary>
    internal bool IsDisposed => _disposed;

    /// <summary>Makes room for <paramref name="capacity"/> tokens, tree nodes included, by as many further pages as that takes; false, and
    /// nothing changed, when the pool has too few free ones now. What is reserved already stays.</summary>
    /// <param name="capacity">The tokens.</param>
    /// <param name="spare">Free pages that are to be left besides.</param>
    public bool TryReserve(int capacity, int spare = 0)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var count = Math.Max(KvCache.PagesFor(capacity) - _pages.Count, 0);
        if (count + spare > _cache.FreePages || !_cache.TryTake(count, _pages))
        {
            return false;
        }

        Capacity = Math.Max(Capacity, capacity);
        return true;
    }

    /// <summary>Takes over what the cache has of the beginning of a text: whole pages, and never the text's last token, whose logits somebody is
    /// going to ask for. Nothing where what is committed does not end with a shared page. Forgets the nodes of a tree.</summary>
    /// <param name="text">The text, of which the first <see cref="Length"/> tokens are committed.</param>
    /// <returns>The tokens that need not be computed.</returns>
    public int Reuse(ReadOnlySpan<int> text)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var before = Length;
        while (Length == SharedTokens && Length + RowBatch.PageSize < text.Length
            && _cache.TryHold(ref _parent, text.Slice(Length, RowBatch.PageSize)) is >= 0 and var page)
        {
            if (_sharedPages < _pages.Count)
            {
                _cache.Return(_pages[_sharedPages]);
                _pages[_sharedPages] = page;
            }
            else
            {
                _pages.Add(page);
            }

            _sharedPages++;
            Length = SharedTokens;
            Capacity = Math.Max(Capacity, Length);
        }

        return Length - before;
    }

    /// <summary>Lets others find the pages that are full. Where they have been computed twice, one of the two is kept.</summary>
    /// <param name="text">The text, of which the first <see cref="Length"/> tokens are committed.</param>
    public void Share(ReadOnlySpan<int> text)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        while (!_cannotShare && SharedTokens + RowBatch.PageSize <= Length)
        {
            var page = _cache.Share(_pages[_sharedPages], ref _parent, text.Slice(SharedTokens, RowBatch.PageSize));
            if (page < 0)
            {
                _cannotShare = true; // what comes after it could not be found either
                return;
            }

            _pages[_sharedPages++] = page;
        }
    }

    /// <summary>Accepts a path of the tree that was just computed: its tokens become part of the prefix, all other nodes are forgotten.</summary>
    /// <param name="path">Node indices from the root down, in tree order; the first is 0.</param>
    /// <exception cref="ArgumentException">The indices do not begin at 0, do not grow, lie past the capacity, or leave what the forward has walked
    /// (<see cref="Walked"/>): then rows of the path may have been overwritten.</exception>
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

        var inPlace = path.CommonPrefixLength(Walked);
        if (inPlace < Math.Min(path.Length, _walked.Count))
        {
            throw new ArgumentException($"the forward has walked to node {_walked[inPlace]} where the path goes on to node {path[inPlace]}", nameof(path));
        }

        _cache.Move(this, path, inPlace);
        _walked.Clear();
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

    /// <summary>Rolls back to the first <paramref name="length"/> tokens, of which those in shared pages are part.</summary>
    public void Truncate(int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, SharedTokens);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Gives the pages back.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            for (var i = _pages.Count - 1; i >= 0; i--)
            {
                _cache.Return(_pages[i]); // the last first, so that the beginning of a text is kept for longest
            }
        }
    }

    /// <summary>The cache row of a slot.</summary>
    internal int Row(int slot) => (_pages[slot / RowBatch.PageSize] * RowBatch.PageSize) + (slot % RowBatch.PageSize);

    /// <summary>The cache row of a slot that is going to be written.</summary>
    /// <exception cref="InvalidOperationException">Others may be reading it.</exception>
    internal int RowToWrite(int slot) => slot >= SharedTokens ? Row(slot)
        : throw new InvalidOperationException($"slot {slot} lies in a shared page: the first {SharedTokens} tokens of this sequence are only read");
}
