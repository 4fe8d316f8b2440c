using System.Runtime.InteropServices;

namespace NativeSpec.Speculation.Lookahead;

/// <summary>Token → the last <c>perKey</c> different continuations of a fixed length that were seen after it.</summary>
/// <remarks>A key's continuations are a linked list, the most recent first; a full list drops its last. Storage grows by doubling, at most
/// to perKey · (length + 1) numbers of 4 bytes for each token of the vocabulary, the only time that adding allocates.</remarks>
internal sealed class NGramPool(int length, int perKey)
{
    private const int None = -1;

    private readonly Dictionary<int, Key> _keys = [];
    private int[] _tokens = new int[64 * length];
    private int[] _next = new int[64];

    /// <summary>N-grams held.</summary>
    public int Count { get; private set; }

    /// <summary>The most recent n-gram of a key; −1 if it has none.</summary>
    public int First(int key) => _keys.TryGetValue(key, out var entry) ? entry.First : None;

    /// <summary>The key's n-gram that was used before this one; −1 after the last.</summary>
    public int Next(int ngram) => _next[ngram];

    /// <summary>The tokens after the key.</summary>
    public ReadOnlySpan<int> Tokens(int ngram) => _tokens.AsSpan(ngram * length, length);

    /// <summary>Adds an n-gram, or makes it the most recent one of its key if it is there.</summary>
    /// <param name="key">The token before.</param>
    /// <param name="tokens">[length] the tokens after it.</param>
    public void Add(int key, ReadOnlySpan<int> tokens)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_keys, key, out var exists);
        if (!exists)
        {
            entry = new Key(None, 0);
        }

        var previous = None;
        var ngram = entry.First;
        while (ngram != None && !Tokens(ngram).SequenceEqual(tokens) && (_next[ngram] != None || entry.Count < perKey))
        {
            (previous, ngram) = (ngram, _next[ngram]);
        }

        // The n-gram is either this one, or the oldest of a full list, which makes way for it, or it is nowhere and gets a new place.
        if (ngram == None)
        {
            ngram = Allocate();
            entry.Count++;
        }
        else if (previous == None)
        {
            _next[ngram] = _next[entry.First];
            entry.First = _next[ngram];
        }
        else
        {
            _next[previous] = _next[ngram];
        }

        tokens.CopyTo(_tokens.AsSpan(ngram * length));
        _next[ngram] = entry.First;
        entry.First = ngram;
    }

    private int Allocate()
    {
        if (Count == _next.Length)
        {
            Array.Resize(ref _next, checked(2 * Count));
            Array.Resize(ref _tokens, checked(2 * Count * length));
        }

        return Count++;
    }

    private record struct Key(int First, int Count);
}
