namespace NativeSpec.Sampling;

/// <summary>What penalties look at: which tokens stand in the prompt and the output, and how often in the output.</summary>
/// <remarks>A stack: a verifier walks down a path of a token tree with <see cref="Push"/>, chooses at each node as if the path were
/// text, and comes back with <see cref="Pop"/>. Both are O(1). Because tokens leave in the opposite order in which they came, a token
/// that stands nowhere any more is always the last of the list of distinct tokens, and that list never has a hole. When no penalty asks
/// for counts, only the length is kept. Nothing is allocated after construction.</remarks>
internal sealed class TokenHistory
{
    private readonly int[] _tokens;      // [Capacity], or empty when tokens are not tracked
    private readonly int[] _places;      // [VocabSize] 1 + the token's place in the list of distinct ones; 0 when it is not there
    private readonly SeenToken[] _seen;  // distinct tokens of prompt and output, by first occurrence
    private int _seenCount;
    private int _seenInPrompt;

    /// <summary>Makes an empty history.</summary>
    /// <param name="vocabSize">Tokens are below this.</param>
    /// <param name="capacity">The longest prompt and output together: the context length.</param>
    /// <param name="tracksTokens">False when no penalty is active (<see cref="SamplingRule.NeedsHistory"/>): only the length is kept.</param>
    public TokenHistory(int vocabSize, int capacity, bool tracksTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        VocabSize = vocabSize;
        Capacity = capacity;
        TracksTokens = tracksTokens;
        _tokens = tracksTokens ? new int[capacity] : [];
        _places = tracksTokens ? new int[vocabSize] : [];
        _seen = tracksTokens ? new SeenToken[Math.Min(vocabSize, capacity)] : [];
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

    /// <summary>The distinct tokens of prompt and output, in the order of their first occurrence; none when tokens are not tracked.</summary>
    public ReadOnlySpan<SeenToken> Seen => _seen.AsSpan(0, _seenCount);

    /// <summary>The choice of the token after this text.</summary>
    /// <param name="rule">The request's rule.</param>
    /// <param name="mask">The tokens allowed, as <see cref="RowChoice.Mask"/> has them.</param>
    /// <exception cref="ArgumentException">The rule is for another vocabulary, or it has a penalty and the history does not track tokens.</exception>
    public RowChoice Choice(SamplingRule rule, ReadOnlySpan<uint> mask = default)
    {
        if (rule.VocabSize != VocabSize)
        {
            throw new ArgumentException($"the history is made for {VocabSize} tokens and the rule for {rule.VocabSize}", nameof(rule));
        }

        return rule.NeedsHistory && !TracksTokens
            ? throw new ArgumentException("a penalty is active: make the history so that it tracks tokens", nameof(rule))
            : new RowChoice { Rule = rule, Position = Count, Seen = Seen, Mask = mask };
    }

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

        foreach (var seen in Seen)
        {
            _places[seen.Id] = 0;
        }

        _seenCount = 0;
        Count = PromptCount = prompt.Length;
        if (TracksTokens)
        {
            prompt.CopyTo(_tokens);
            foreach (var token in prompt)
            {
                Find(token);
            }
        }

        _seenInPrompt = _seenCount;
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
            ref var seen = ref _seen[Find(token)];
            seen = seen with { InOutput = seen.InOutput + 1 };
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
            var place = _places[token] - 1;
            ref var seen = ref _seen[place];
            seen = seen with { InOutput = seen.InOutput - 1 };
            if (seen.InOutput == 0 && place >= _seenInPrompt)
            {
                _places[token] = 0;
                _seenCount--;
            }
        }
    }

    /// <summary>The token's place in the list of distinct ones, where it is added if it is new.</summary>
    private int Find(int token)
    {
        if (_places[token] == 0)
        {
            _seen[_seenCount] = new SeenToken(token, 0);
            _places[token] = ++_seenCount;
        }

        return _places[token] - 1;
    }

    private void RequireInVocabulary(int token)
    {
        if ((uint)token >= (uint)VocabSize)
        {
            throw new ArgumentException($"token {token} is outside the vocabulary: ids are between 0 and {VocabSize - 1}", nameof(token));
        }
    }
}
