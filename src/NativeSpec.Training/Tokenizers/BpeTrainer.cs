using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Training.Tokenizers;

/// <summary>Learns a byte-level BPE vocabulary (Sennrich et al., 2016; GPT-2's form of it). The text is cut into words by GPT-2's pattern; then the most
/// frequent pair of neighbouring tokens becomes a token, again and again. Of equally frequent pairs the one with the lower left id, then
/// the lower right id, comes first, so the result depends on the text alone.</summary>
/// <remarks>Counts are kept per pair and changed only where a merge changes a word, and a heap finds the next pair: the work is
/// proportional to the changes, not to the vocabulary times the text.</remarks>
public sealed class BpeTrainer
{
    /// <summary>The control token and the 256 bytes: no vocabulary is smaller.</summary>
    public const int MinVocabulary = 257;

    /// <summary>The largest vocabulary; what is learnt is meant for small models.</summary>
    public const int MaxVocabulary = 1 << 18;

    private readonly List<byte[]> _tokens = [];
    private readonly Dictionary<byte[], int> _ids = new(TokenBytesComparer.Instance);
    private readonly List<(int Left, int Right)> _merges = [];
    private readonly List<int[]> _words = [];
    private readonly List<long> _wordCounts = [];
    private readonly Dictionary<(int Left, int Right), long> _pairCounts = [];
    private readonly Dictionary<(int Left, int Right), List<int>> _wordsOf = [];
    private readonly PriorityQueue<(int Left, int Right, long Count), (long NegativeCount, int Left, int Right)> _queue = new();
    private readonly HashSet<(int Left, int Right)> _changed = [];

    private BpeTrainer()
    {
        _tokens.Add([]); // id 0: the control token, which no text spells
        for (var b = 0; b < 256; b++)
        {
            Add([(byte)b]);
        }
    }

    /// <summary>Learns a vocabulary.</summary>
    /// <param name="documents">The text.</param>
    /// <param name="vocabularySize">How many tokens there shall be, the control token and the 256 bytes included.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is not between <see cref="MinVocabulary"/> and <see cref="MaxVocabulary"/>.</exception>
    /// <exception cref="ArgumentException">The text is empty or has too few different words for so many tokens.</exception>
    public static BpeVocabulary Train(IEnumerable<string> documents, int vocabularySize, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (vocabularySize is < MinVocabulary or > MaxVocabulary)
        {
            throw new ArgumentOutOfRangeException(
                nameof(vocabularySize), vocabularySize, $"a vocabulary has {MinVocabulary} (256 bytes and one control token) to {MaxVocabulary} tokens");
        }

        var trainer = new BpeTrainer();
        trainer.CountWords(documents, cancellationToken);
        trainer.CountPairs();
        while (trainer._tokens.Count < vocabularySize && trainer.Next() is { } pair)
        {
            cancellationToken.ThrowIfCancellationRequested();
            trainer.Merge(pair);
        }

        return trainer._tokens.Count == vocabularySize ? new(trainer._tokens, trainer._merges) : throw new ArgumentException(
            $"the text has pairs for {trainer._tokens.Count} tokens only: ask for at most as many, not {vocabularySize}, or give more text", nameof(documents));
    }

    private void CountWords(IEnumerable<string> documents, CancellationToken cancellationToken)
    {
        var splitter = SplitPatterns.Find(SplitPatterns.Gpt2)!;
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var byText = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var document in documents)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var text = CharClasses.WithoutLoneSurrogates(document);
            for (var start = 0; start < text.Length;)
            {
                var end = splitter.End(text, start);
                CollectionsMarshal.GetValueRefOrAddDefault(byText, text.AsSpan(start, end - start), out _)++;
                start = end;
            }
        }

        if (counts.Count == 0)
        {
            throw new ArgumentException("the text is empty: there is nothing to learn a vocabulary from", nameof(documents));
        }

        foreach (var (word, count) in counts.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            _words.Add([.. Encoding.UTF8.GetBytes(word).Select(b => 1 + b)]);
            _wordCounts.Add(count);
        }
    }

    private void CountPairs()
    {
        for (var word = 0; word < _words.Count; word++)
        {
            Count(word, _wordCounts[word]);
        }

        Requeue();
    }

    // Adds a word's pairs to the counts, or with a negative number takes them away.
    private void Count(int word, long times)
    {
        var symbols = _words[word];
        for (var i = 0; i + 1 < symbols.Length; i++)
        {
            var pair = (symbols[i], symbols[i + 1]);
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairCounts, pair, out _);
            count += times;
            _changed.Add(pair);
            if (times > 0)
            {
                ref var words = ref CollectionsMarshal.GetValueRefOrAddDefault(_wordsOf, pair, out _);
                words ??= [];
                if (words.Count == 0 || words[^1] != word)
                {
                    words.Add(word); // may list a word twice or one that has lost the pair; merging looks again
                }
            }
        }
    }

    private void Requeue()
    {
        foreach (var pair in _changed)
        {
            if (_pairCounts[pair] is > 0 and var count)
            {
                _queue.Enqueue((pair.Left, pair.Right, count), (-count, pair.Left, pair.Right));
            }
            else
            {
                _pairCounts.Remove(pair);
                _wordsOf.Remove(pair);
            }
        }

        _changed.Clear();
    }

    // The most frequent pair; entries of the heap whose count is no longer true are passed over, the true one is there as well.
    private (int Left, int Right)? Next()
    {
        while (_queue.TryDequeue(out var entry, out _))
        {
            if (_pairCounts.TryGetValue((entry.Left, entry.Right), out var count) && count == entry.Count)
            {
                return (entry.Left, entry.Right);
            }
        }

        return null;
    }

    private void Merge((int Left, int Right) pair)
    {
        _merges.Add(pair);
        byte[] bytes = [.. _tokens[pair.Left], .. _tokens[pair.Right]];
        // Two ways to spell the same bytes lead to one token.
        var merged = _ids.TryGetValue(bytes, out var known) ? known : Add(bytes);
        foreach (var word in _wordsOf[pair].ToArray())
        {
            if (Contains(_words[word], pair))
            {
                Count(word, -_wordCounts[word]);
                _words[word] = Merged(_words[word], pair, merged);
                Count(word, _wordCounts[word]);
            }
        }

        Requeue();
    }

    private int Add(byte[] bytes)
    {
        _ids.Add(bytes, _tokens.Count);
        _tokens.Add(bytes);
        return _tokens.Count - 1;
    }

    private static bool Contains(int[] symbols, (int Left, int Right) pair)
    {
        for (var i = 0; i + 1 < symbols.Length; i++)
        {
            if (symbols[i] == pair.Left && symbols[i + 1] == pair.Right)
            {
                return true;
            }
        }

        return false;
    }

    // From left to right, as encoders merge: of a a a the first two become one.
    private static int[] Merged(int[] symbols, (int Left, int Right) pair, int merged)
    {
        var result = new List<int>(symbols.Length);
        for (var i = 0; i < symbols.Length; i++)
        {
            var isPair = i + 1 < symbols.Length && symbols[i] == pair.Left && symbols[i + 1] == pair.Right;
            result.Add(isPair ? merged : symbols[i]);
            i += isPair ? 1 : 0;
        }

        return [.. result];
    }
}
