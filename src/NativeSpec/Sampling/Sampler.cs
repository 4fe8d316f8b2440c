namespace NativeSpec.Sampling;

/// <summary>A chosen token, with its log-probabilities when the request asks for them.</summary>
internal readonly record struct SampledToken(int Id, TokenLogProbs? LogProbs);

/// <summary>One request's sampler: turns the logits of a position into the distribution the request asks for, and draws from it.</summary>
/// <remarks>The steps, in order: repetition penalty, presence and frequency penalties, logit bias, temperature, top-k, top-p, min-p (see
/// <see cref="SamplingOptions"/> for why). The result depends on the logits, the history, the options, the seed and the absolute
/// position, and on nothing else, so the same sampler serves plain decoding and every node of a token tree, with the node's path as
/// history. A call allocates nothing, save the log-probabilities that are handed to the user.</remarks>
internal sealed class Sampler
{
    private readonly SamplerWorkspace _workspace;
    private readonly Penalties _penalties;
    private readonly ulong _seed;
    private readonly float _temperature;
    private readonly int _topK;
    private readonly float _topP;
    private readonly float _minP;
    private readonly int? _topLogProbs;

    /// <summary>Makes a sampler for one request.</summary>
    /// <param name="options">The request's options with the checkpoint's defaults filled in. What is still null is off, and the
    /// temperature 1. Its seed is not looked at.</param>
    /// <param name="seed">The request's seed, or the one drawn for it.</param>
    /// <param name="workspace">Memory for the model's vocabulary.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public Sampler(SamplingOptions options, ulong seed, SamplerWorkspace workspace)
    {
        options.Validate(workspace.Scores.Length);
        _workspace = workspace;
        _penalties = new Penalties(options);
        _seed = seed;
        _temperature = options.Temperature ?? 1;
        _topK = options.TopK ?? 0;
        _topP = options.TopP ?? 1;
        _minP = options.MinP ?? 0;
        _topLogProbs = options.TopLogProbs;
    }

    /// <summary>Whether a penalty looks at the text: if so, the history must track tokens.</summary>
    public bool NeedsHistory => _penalties.NeedsHistory;

    /// <summary>Chooses the token of a position: the distribution's token at the random number of (seed, position).</summary>
    /// <param name="logits">[vocab], as the model gave them; not changed.</param>
    /// <param name="history">Prompt and output before the position.</param>
    /// <param name="position">Absolute position of the token to choose, counted from the prompt's first token.</param>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    public SampledToken Sample(ReadOnlySpan<float> logits, TokenHistory history, long position)
    {
        Fill(_workspace.Distribution, logits, history, position);
        var id = _workspace.Distribution.Draw(CounterRandom.Uniform(_seed, position, draw: 0));
        return new SampledToken(id, LogProbsOf(logits, id, position));
    }

    /// <summary>The log-probabilities that the request wants with a token; null when it wants none.</summary>
    public TokenLogProbs? LogProbsOf(ReadOnlySpan<float> logits, int id, long position) =>
        _topLogProbs is { } count ? LogProbs.Of(logits, id, count, position, _workspace.Scores) : null;

    /// <summary>Computes the distribution to draw the next token from.</summary>
    /// <param name="logits">[vocab], as the model gave them; not changed. −∞ rules a token out.</param>
    /// <param name="history">Prompt and output before the position, or the path of a tree node.</param>
    /// <param name="into">Receives the distribution.</param>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    /// <exception cref="ArgumentException">Logits, history and distribution are not of one vocabulary, or the history does not track
    /// tokens although a penalty is active.</exception>
    public void Process(ReadOnlySpan<float> logits, TokenHistory history, TokenDistribution into) =>
        Fill(into, logits, history, history.Count);

    private void Fill(TokenDistribution into, ReadOnlySpan<float> logits, TokenHistory history, long position)
    {
        RequireOneVocabulary(logits.Length, history, into);
        var scores = logits;
        if (_penalties.AreActive)
        {
            LogitScan.Max(logits, position); // A step below could hide what is not finite.
            logits.CopyTo(_workspace.Scores);
            _penalties.Apply(_workspace.Scores, history);
            scores = _workspace.Scores;
        }

        var max = LogitScan.Max(scores, position);
        if (_temperature == 0)
        {
            into.SetCertain(LogitScan.IndexOf(scores, max));
            return;
        }

        // Temperature does not change the ranking, so top-k can look first and leave the exponentials of k tokens only.
        var count = scores.Length;
        var areAllIds = true;
        if (_topK > 0 && _topK < count)
        {
            var cut = RankSelection.KeepCount(scores, max, _topK, _workspace);
            count = cut.Keep(scores, scores, float.NegativeInfinity, areAllIds, into.KeptIds, _workspace.Scores);
            scores = _workspace.Scores.AsSpan(0, count);
            areAllIds = false;
        }

        // The most likely token is in every nucleus and its weight is 1, so min-p is a plain bound on the weights.
        var weights = into.Weights[..count];
        Softmax.Weights(scores, max, _temperature, weights);
        if (_topP < 1 || _minP > 0)
        {
            var cut = _topP < 1 ? RankSelection.KeepShare(scores, weights, max, _temperature, _topP, _workspace) : RankCut.KeepAll;
            count = cut.Keep(scores, weights, _minP, areAllIds, into.KeptIds, weights);
            areAllIds = false;
        }

        into.Normalise(count, areAllIds);
    }

    private void RequireOneVocabulary(int logits, TokenHistory history, TokenDistribution into)
    {
        var vocabSize = _workspace.Scores.Length;
        if (logits != vocabSize || history.VocabSize != vocabSize || into.VocabSize != vocabSize)
        {
            throw new ArgumentException(
                $"the sampler is made for {vocabSize} tokens; there are {logits} logits, "
                + $"the history is made for {history.VocabSize} tokens and the distribution for {into.VocabSize}");
        }

        if (NeedsHistory && !history.TracksTokens)
        {
            throw new ArgumentException("a penalty is active: make the history so that it tracks tokens", nameof(history));
        }
    }
}
