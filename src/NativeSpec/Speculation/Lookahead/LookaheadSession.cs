namespace NativeSpec.Speculation.Lookahead;

/// <summary>Lookahead decoding for one request.</summary>
/// <remarks>
/// <para>Guesses come first in the tree, the most recent n-gram first, within the budget; the window then takes the largest number of
/// columns W' whose (N−1)·W' − 1 probes the probe budget allows. With none the pool still serves guesses and learns from the text.</para>
/// <para>The pool holds N−1 tokens after their key. It learns every n-gram of the text that ends in the output, and those of the prompt if
/// so wished, beside the window's W per round.</para>
/// <para>Proposing and observing allocate only when the pool grows, and in the first round for the window.</para>
/// </remarks>
internal sealed class LookaheadSession : IDrafter
{
    private readonly LookaheadOptions _options;
    private readonly NGramPool _pool;
    private readonly OwnCandidates _candidates = new();
    private LookaheadWindow? _window;

    public LookaheadSession(LookaheadOptions options, int promptLength)
    {
        _options = options;
        _pool = new NGramPool(options.Level - 1, options.Guesses);
        TokensRead = options.PoolFromPrompt ? 0 : promptLength;
    }

    /// <summary>Tokens read so far, or not to be read.</summary>
    public int TokensRead { get; private set; }

    public void ReadPrompt(ReadOnlySpan<int> prompt) => Read(prompt);

    public void Propose(DraftContext context, DraftTree tree)
    {
        Read(context.Text);
        AddGuesses(context, tree);
        _window ??= new LookaheadWindow(_options.Window, _options.Level, context.Text);
        _window.AddTo(tree, context.ProbeBudget, context.MaxDepth);
    }

    public void Observe(RoundOutcome outcome) => _window?.Collect(outcome, _pool);

    public void Dispose()
    {
    }

    /// <summary>Feeds the pool with the n-grams that end in the part of the text not read yet.</summary>
    private void Read(ReadOnlySpan<int> text)
    {
        for (; TokensRead < text.Length; TokensRead++)
        {
            var start = TokensRead - (_options.Level - 1);
            if (start >= 0)
            {
                _pool.Add(text[start], text.Slice(start + 1, _options.Level - 1));
            }
        }
    }

    private void AddGuesses(DraftContext context, DraftTree tree)
    {
        _candidates.Begin(context, tree);
        for (var ngram = _pool.First(tree.Token(0)); ngram >= 0 && !_candidates.IsFull; ngram = _pool.Next(ngram))
        {
            var node = 0;
            foreach (var token in _pool.Tokens(ngram))
            {
                node = _candidates.Add(node, token, confidence: 0);
                if (node < 0)
                {
                    break;
                }
            }
        }
    }
}
