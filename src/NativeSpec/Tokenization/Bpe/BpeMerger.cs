namespace NativeSpec.Tokenization.Bpe;

/// <summary>Byte-pair encoding of one piece (Sennrich, Haddow and Birch, 2016): while any neighbours merge, merge the pair of the lowest
/// rank, the leftmost of equals. A priority queue over a linked list of symbols, O(n log n). One merger serves one call.</summary>
internal sealed class BpeMerger
{
    private const int Nobody = -1;
    private const int FirstCapacity = 64;

    private readonly MergeTable _table;
    private readonly Dictionary<int, (int Left, int Right)>? _parts;
    private int[] _symbols = new int[FirstCapacity];
    private int[] _previous = new int[FirstCapacity];
    private int[] _next = new int[FirstCapacity];
    private int[] _rank = new int[FirstCapacity];   // of the pair that begins here; NoRank also marks a symbol that is gone
    private int[] _merged = new int[FirstCapacity]; // the token that this pair becomes
    private ulong[] _heap = new ulong[FirstCapacity]; // rank in the high half, place in the low half
    private int _count;
    private int _heapCount;

    /// <summary>Makes a merger over a table.</summary>
    /// <param name="table">The merges.</param>
    /// <param name="remembersParts">Whether <see cref="TryFindParts"/> will be asked.</param>
    public BpeMerger(MergeTable table, bool remembersParts = false)
    {
        _table = table;
        _parts = remembersParts ? [] : null;
    }

    /// <summary>The symbols: what was added, or after <see cref="Merge"/> what they became.</summary>
    public ReadOnlySpan<int> Symbols => _symbols.AsSpan(0, _count);

    /// <summary>Forgets all symbols.</summary>
    public void Clear()
    {
        _count = 0;
        _parts?.Clear();
    }

    /// <summary>The two symbols of which a token was last seen to be mergeable in this piece of text, if it was.</summary>
    public bool TryFindParts(int token, out int left, out int right)
    {
        (left, right) = _parts is not null && _parts.TryGetValue(token, out var parts) ? parts : (0, 0);
        return _parts?.ContainsKey(token) ?? false;
    }

    /// <summary>Appends a symbol.</summary>
    public void Add(int symbol)
    {
        if (_count == _symbols.Length)
        {
            Array.Resize(ref _symbols, _count * 2);
        }

        _symbols[_count++] = symbol;
    }

    /// <summary>Merges the symbols as far as they merge.</summary>
    public void Merge()
    {
        if (_count < 2)
        {
            return;
        }

        Link();
        while (_heapCount > 0)
        {
            var top = Pop();
            var at = (int)(uint)top;
            if (_rank[at] != (int)(top >> 32))
            {
                continue; // this pair has been merged or has lost a neighbour since it was queued
            }

            var gone = _next[at];
            _symbols[at] = _merged[at];
            _next[at] = _next[gone];
            _rank[gone] = MergeTable.NoRank;
            if (_next[at] != Nobody)
            {
                _previous[_next[at]] = at;
            }

            if (_previous[at] != Nobody)
            {
                Rank(_previous[at]);
            }

            Rank(at);
        }

        var kept = 0;
        for (var at = 0; at != Nobody; at = _next[at])
        {
            _symbols[kept++] = _symbols[at];
        }

        _count = kept;
    }

    // Every place enters the heap at most once here and at most twice for each merge: 3n entries in all.
    private void Link()
    {
        if (_next.Length < _count)
        {
            var capacity = _symbols.Length;
            _previous = new int[capacity];
            _next = new int[capacity];
            _rank = new int[capacity];
            _merged = new int[capacity];
            _heap = new ulong[capacity];
        }

        _heapCount = 0;
        for (var i = 0; i < _count; i++)
        {
            _previous[i] = i - 1;
            _next[i] = i + 1 < _count ? i + 1 : Nobody;
            _rank[i] = _next[i] == Nobody ? MergeTable.NoRank : _table.Find(_symbols[i], _symbols[i + 1], out _merged[i]);
            if (_rank[i] != MergeTable.NoRank)
            {
                _parts?[_merged[i]] = (_symbols[i], _symbols[i + 1]);
                _heap[_heapCount++] = HeapKey(i);
            }
        }

        for (var i = (_heapCount / 2) - 1; i >= 0; i--)
        {
            SiftDown(i, _heap[i]);
        }
    }

    private void Rank(int at)
    {
        var right = _next[at];
        _rank[at] = right == Nobody ? MergeTable.NoRank : _table.Find(_symbols[at], _symbols[right], out _merged[at]);
        if (_rank[at] != MergeTable.NoRank)
        {
            _parts?[_merged[at]] = (_symbols[at], _symbols[right]);
            Push(HeapKey(at));
        }
    }

    private ulong HeapKey(int at) => ((ulong)(uint)_rank[at] << 32) | (uint)at;

    private void Push(ulong key)
    {
        if (_heapCount == _heap.Length)
        {
            Array.Resize(ref _heap, _heapCount * 2);
        }

        var at = _heapCount++;
        while (at > 0 && _heap[(at - 1) / 2] > key)
        {
            _heap[at] = _heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }

        _heap[at] = key;
    }

    private ulong Pop()
    {
        var top = _heap[0];
        var last = _heap[--_heapCount];
        if (_heapCount > 0)
        {
            SiftDown(0, last);
        }

        return top;
    }

    private void SiftDown(int at, ulong key)
    {
        while (true)
        {
            var child = (2 * at) + 1;
            if (child >= _heapCount)
            {
                break;
            }

            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child])
            {
                child++;
            }

            if (_heap[child] >= key)
            {
                break;
            }

            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = key;
    }
}
