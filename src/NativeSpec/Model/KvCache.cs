using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>The key-value rows of all sequences: a pool of pages of <see cref="RowBatch.PageSize"/> rows (paged attention, Kwon et al., 2023).
/// A sequence takes pages as it needs them; when the pool is empty, whoever owns the sequences decides which of them gives its pages
/// back.</summary>
/// <remarks>
/// <para>A sequence's committed tokens lie in slots 0 … Length − 1, a tree's nodes in the slots after them, in node order. Accepting a
/// path moves its rows to the front of those; rolling back is forgetting. Used by one thread.</para>
/// <para><b>Prefix cache.</b> A page whose tokens are all committed is never written again, so all texts that begin alike may hold it:
/// pages count their holders. When the last one is gone the page stays where it can be found (<see cref="PrefixIndex"/>) until a text needs
/// its room: pages that hold nothing are given out first, then those that have been unused for longest. What is found has the bits that
/// computing it would give, because a node's bits do not depend on what it is computed beside.</para>
/// </remarks>
internal sealed class KvCache : IDisposable
{
    private readonly IBackend _backend;
    private readonly Stack<int> _freePages; // those that hold nothing
    private readonly int[] _holders;        // [pages]
    private readonly PrefixIndex? _index;   // null where pages are not shared
    private readonly int[] _from;
    private readonly int[] _to;

    internal KvCache(IBackend backend, in KvShape shape, int maxTreeNodes, bool sharesPrefixes = false)
    {
        _backend = backend;
        Storage = backend.AllocateKv(shape);
        TotalPages = shape.Rows / RowBatch.PageSize;
        _freePages = new Stack<int>(TotalPages);
        for (var page = TotalPages - 1; page >= 0; page--)
        {
            _freePages.Push(page);
        }

        _holders = new int[TotalPages];
        _index = sharesPrefixes ? new PrefixIndex(TotalPages) : null;
        _from = new int[maxTreeNodes];
        _to = new int[maxTreeNodes];
    }

    /// <summary>Pages in the pool.</summary>
    public int TotalPages { get; }

    /// <summary>Pages that no sequence holds.</summary>
    public int FreePages => _freePages.Count + CachedPages;

    /// <summary>Of those, pages in which the beginning of a text can be found.</summary>
    public int CachedPages => _index?.Unheld ?? 0;

    /// <summary>The memory itself.</summary>
    internal BackendKv Storage { get; }

    /// <summary>Pages that hold so many tokens.</summary>
    public static int PagesFor(int tokens) => (int)(((long)tokens + RowBatch.PageSize - 1) / RowBatch.PageSize);

    /// <summary>A sequence without pages: <see cref="KvSequence.TryReserve"/> gives it some.</summary>
    /// <param name="salt">Only texts with the same salt share pages with it; null is one too.</param>
    public KvSequence Open(string? salt = null) => new(this, _index?.RootOf(salt) ?? PrefixIndex.NoSalt);

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
        if (count > FreePages)
        {
            return false;
        }

        for (; count > 0; count--)
        {
            var page = _freePages.Count > 0 ? _freePages.Pop() : _index!.ForgetOldest();
            _holders[page] = 1;
            pages.Add(page);
        }

        return true;
    }

    /// <summary>Gives up a hold on a page.</summary>
    internal void Return(int page)
    {
        if (--_holders[page] > 0)
        {
            return;
        }

        if (_index?.NumberOf(page) > 0)
        {
            _index.Leave(page);
        }
        else
        {
            _freePages.Push(page);
        }
    }

    /// <summary>Holds the page that has these tokens after those of another, if there is one.</summary>
    /// <param name="parent">The other's number, or a root; receives the page's own.</param>
    /// <param name="tokens">[page size].</param>
    /// <returns>The page; −1 where there is none.</returns>
    internal int TryHold(ref long parent, ReadOnlySpan<int> tokens)
    {
        if (_index?.Find(parent, tokens) is not (>= 0 and var page))
        {
            return -1;
        }

        if (_holders[page]++ == 0)
        {
            _index.Take(page);
        }

        parent = _index.NumberOf(page);
        return page;
    }

    /// <summary>Lets a full page be found by others.</summary>
    /// <param name="page">A page that one sequence holds.</param>
    /// <param name="parent">The number of the page before it, or a root; receives its own.</param>
    /// <param name="tokens">[page size] what is in it.</param>
    /// <returns>The page to use from now on: another, if that has the same tokens already. −1 where it cannot be shared.</returns>
    internal int Share(int page, ref long parent, ReadOnlySpan<int> tokens)
    {
        if (TryHold(ref parent, tokens) is >= 0 and var other)
        {
            Return(page);
            return other;
        }

        if (_index?.TryName(page, parent, tokens) != true)
        {
            return -1;
        }

        parent = _index.NumberOf(page);
        return page;
    }

    /// <summary>Moves the rows of the nodes on <paramref name="path"/> to the slots after the prefix, but for the first <paramref name="inPlace"/>, which lie there.</summary>
    internal void Move(KvSequence sequence, ReadOnlySpan<int> path, int inPlace)
    {
        var count = 0;
        for (var i = inPlace; i < path.Length; i++)
        {
            if (path[i] != i)
            {
                // Node order is topological, so a source is never before its target and no row is overwritten before it is read.
                _from[count] = sequence.Row(sequence.Length + path[i]);
                _to[count++] = sequence.RowToWrite(sequence.Length + i);
            }
        }

        if (count > 0)
        {
            _backend.MoveKvRows(Storage, _from.AsSpan(0, count), _to.AsSpan(0, count));
        }
    }
}
