namespace NativeSpec.Sampling;

/// <summary>What penalties look at: which tokens stand in the prompt and the output, and how often in the output.</summary>
/// <remarks>A stack: a verifier walks down a path of a token tree with <see cref="Push"/>, samples at each node as if the path were
/// text, and comes back with <see cref="Pop"/>. Both are O(1). Because tokens leave in the opposite order in which they came, a token
/// whose count falls to zero is always the last of the list of distinct tokens, and that list never has a hole. When no penalty asks
/// for counts, only the length is kept. Nothing is allocated after construction.</remarks>
internal sealed class TokenHistory
{
    private readonly int[] _tokens;            // [Capacity], or empty when tokens are not tracked
    private readonly int[] _occurrences;       // [VocabSize], prompt and output
    private readonly int[] _outputOccurrences; // [VocabSize]
    private readonly int[] _seen;              // distinct tokens of prompt and output, by first occurrence
    private readonly int[] _seenInOutput;      // distinct tokens of the output, by first occurrence
    private int _seenCount;
    private int _seenInOutputCount;

    /// <summary>Makes an empty history.</summary>
    /// <param name="vocabSize">Tokens are below this.</param>
    /// <param name="capacity">The longest prompt and output together: the context length.</param>
    /// <param name="tracksTokens">False when no penalty is active (<see cref="Sampler.NeedsHistory"/>): only the length is kept.</param>
    public TokenHistory(int vocabSize, int capacity, bool tracksTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        VocabSize = vocabSize;
        Capacity = capacity;
        TracksTokens = tracksTokens;
        _tokens = tracksTokens ? new int[capacity] : [];
        _occurrences = tracksTokens ? new int[vocabSize] : [];
        _outputOccurrences = tracksTokens ? new int[vocabSize] : [];
        _seen = tracksTokens ? new int[Math.Min(vocabSize, capacity)] : [];
        _seenInOutput = tracksTokens ? new int[Math.Min(vocabSize, capacity)] : [];
    }

    /// <summary>Tokens are below this.</summary>
    public int VocabSize { get; }

    /// <summary>The longest prompt and output together.</summary>
    public int Capacity { get; }

    /// <summary>Whether the tokens are kept, or only their number.</summary>
    public bool TracksTokens { get; }

    /// <summary>Tokens of prompt and output: the absolute position of the token to choose next.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptCount { get; private set; }

    /// <summary>The distinct tokens of prompt and output, in the order of their first occurrence.</summary>
    public ReadOnlySpan<int> Seen => _seen.AsSpan(0, _seenCount);

    /// <summary>The distinct tokens of the output, in the order of their first occurrence there.</summary>
    public ReadOnlySpan<int> SeenInOutput => _seenInOutput.AsSpan(0, _seenInOutputCount);

    /// <summary>How often <paramref name="token"/> stands in the output; 0 when tokens are not tracked.</summary>
    public int OutputCount(int token) => TracksTokens ? _outputOccurrences[token] : 0;

    /// <summary>Forgets everything and takes a prompt.</summary>
    /// <exception cref="ArgumentException">The prompt is longer than the capacity or holds an id outside the vocabulary; the history
    /// is unchanged.</exception>
    public void Start(ReadOnlySpan<int> prompt)
    {
        if (prompt.Length > Capacity)
        {
            throw new ArgumentException($"the prompt has {prompt.Length} tokens, the context holds {Capacity}", nameof(prompt));
        }

        foreach (var token in prompt)
        {
            RequireInVocabulary(token);
        }

        foreach (var token in Seen)
        {
            _occurrences[token] = 0;
            _outputOccurrences[token] = 0;
        }

        (_seenCount, _seenInOutputCount) = (0, 0);
        Count = PromptCount = prompt.Length;
        if (TracksTokens)
        {
            prompt.CopyTo(_tokens);
            foreach (var token in prompt)
            {
                CountIn(_occurrences, token, _seen, ref _seenCount);
            }
        }
    }

    /// <summary>Appends a token to the output.</summary>
    /// <exception cref="ArgumentException">The id is outside the vocabulary.</exception>
    /// <exception cref="InvalidOperationException">The history is full.</exception>
    public void Push(int token)
    {
        RequireInVocabulary(token);
        if (Count == Capacity)
        {
            throw new InvalidOperationException($"the history is full: it holds {Capacity} tokens");
        }

        if (TracksTokens)
        {
            _tokens[Count] = token;
            CountIn(_occurrences, token, _seen, ref _seenCount);
            CountIn(_outputOccurrences, token, _seenInOutput, ref _seenInOutputCount);
        }

        Count++;
    }

    /// <summary>Takes the last token of the output back.</summary>
    /// <exception cref="InvalidOperationException">The output is empty.</exception>
    public void Pop()
    {
        if (Count == PromptCount)
        {
            throw new InvalidOperationException("the output is empty: a token of the prompt cannot be taken back");
        }

        Count--;
        if (TracksTokens)
        {
            var token = _tokens[Count];
            _seenCount -= --_occurrences[token] == 0 ? 1 : 0;
            _seenInOutputCount -= --_outputOccurrences[token] == 0 ? 1 : 0;
        }
    }

    private static void CountIn(int[] counts, int token, int[] distinct, ref int distinctCount)
    {
        if (counts[token]++ == 0)
        {
            distinct[distinctCount++] = token;
        }
    }

    private void RequireInVocabulary(int token)
    {
        if ((uint)token >= (uint)VocabSize)
        {
            throw new ArgumentException($"token {token} is outside the vocabulary: ids are between 0 and {VocabSize - 1}", nameof(token));
        }
    }
}
