namespace NativeSpec.Sampling;

/// <summary>Chooses tokens on the processor: a row of logits and a <see cref="RowChoice"/> give a token, or the distribution it is chosen from.
/// It serves any number of requests, one call at a time.</summary>
/// <remarks>The steps, in order: repetition penalty, presence and frequency penalties, logit bias, mask, temperature, top-k, top-p, min-p (see
/// <see cref="SamplingOptions"/> for why). The result depends on the logits and the choice and on nothing else, so plain decoding and every
/// node of a token tree are served alike. A call allocates nothing, save the log-probabilities that are handed to the user.</remarks>
internal sealed class Chooser
{
    /// <summary>Which way of choosing this is. A text can be had again from its seed only by the version that wrote it: 1 drew from the
    /// cumulative distribution, 2 takes the <see cref="GumbelMax"/>.</summary>
    public const int Version = 2;

    private readonly float[] _scores;       // [vocab] processed logits
    private readonly float[] _weights;      // [vocab]
    private readonly float[] _keptScores;   // [vocab]
    private readonly int[] _keptIds;        // [vocab]
    private readonly float[] _blockMaxima;  // [blocks]
    private readonly float[] _blockWeights; // [blocks]
    private readonly RankWorkspace _ranks;

    /// <summary>Makes the memory for a vocabulary.</summary>
    public Chooser(int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        VocabSize = vocabSize;
        _scores = new float[vocabSize];
        _weights = new float[vocabSize];
        _keptScores = new float[vocabSize];
        _keptIds = new int[vocabSize];
        _blockMaxima = new float[GumbelMax.BlocksOf(vocabSize)];
        _blockWeights = new float[_blockMaxima.Length];
        _ranks = new RankWorkspace(vocabSize);
    }

    /// <summary>Ids are below this.</summary>
    public int VocabSize { get; }

    /// <summary>Chooses the token of a position: the <see cref="GumbelMax"/> of what the filters keep, and with a temperature of 0 the highest score,
    /// ties to the lowest id.</summary>
    /// <param name="logits">[vocab], as the model gave them; not changed. −∞ rules a token out.</param>
    /// <param name="choice">All that stands between the row and its token.</param>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    /// <exception cref="InvalidOperationException">The mask leaves nothing to choose from.</exception>
    /// <exception cref="ArgumentException">Logits, rule and mask are not of one vocabulary.</exception>
    public int Choose(ReadOnlySpan<float> logits, in RowChoice choice)
    {
        var rule = choice.Rule;
        var scores = Score(logits, choice);
        if (rule.IsGreedy)
        {
            return LogitScan.IndexOf(scores, MaxOf(scores, choice));
        }

        LogitScan.BlockMaxima(scores, _blockMaxima);
        var max = MaxOf(_blockMaxima, choice);
        var kept = KeptTokens.Of(scores, FindCut(rule, scores, max), rule.MinP, max, rule.Temperature);
        return GumbelMax.Find(scores, _blockMaxima, choice, kept, _blockWeights, NoiseScan.Widest);
    }

    /// <summary>Computes the distribution that <see cref="Choose"/> chooses from.</summary>
    /// <param name="logits">[vocab], as the model gave them; not changed. −∞ rules a token out.</param>
    /// <param name="choice">All that stands between the row and its token.</param>
    /// <param name="into">Receives the distribution.</param>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    /// <exception cref="InvalidOperationException">The mask leaves nothing to choose from.</exception>
    /// <exception cref="ArgumentException">Logits, rule, mask and distribution are not of one vocabulary.</exception>
    public void Process(ReadOnlySpan<float> logits, in RowChoice choice, TokenDistribution into)
    {
        if (into.VocabSize != VocabSize)
        {
            throw new ArgumentException($"the chooser is made for {VocabSize} tokens and the distribution for {into.VocabSize}", nameof(into));
        }

        var rule = choice.Rule;
        var scores = Score(logits, choice);
        var max = MaxOf(scores, choice);
        if (rule.IsGreedy)
        {
            into.SetCertain(LogitScan.IndexOf(scores, max));
            return;
        }

        var (cut, count, areAllIds) = (FindCut(rule, scores, max), VocabSize, true);
        if (cut != RankCut.KeepAll)
        {
            count = cut.Keep(scores, scores, float.NegativeInfinity, areAllIds, into.KeptIds, _keptScores);
            scores = _keptScores.AsSpan(0, count);
            areAllIds = false;
        }

        // The most likely token is in every nucleus and its weight is 1, so min-p is a plain bound on the weights.
        var weights = into.Weights[..count];
        Softmax.Weights(scores, max, rule.Temperature, weights);
        if (rule.MinP > 0)
        {
            count = RankCut.KeepAll.Keep(scores, weights, rule.MinP, areAllIds, into.KeptIds, weights);
            areAllIds = false;
        }

        into.Normalise(count, areAllIds);
    }

    /// <summary>The log-probabilities of a chosen token and of the most likely ones, in the model's own distribution.</summary>
    /// <param name="logits">[vocab], as the model gave them.</param>
    /// <param name="id">The chosen token.</param>
    /// <param name="topCount">How many of the most likely tokens are wanted, 0 to <see cref="SamplingOptions.MaxTopLogProbs"/>.</param>
    /// <param name="position">Its absolute position, for the message.</param>
    /// <exception cref="NonFiniteLogitsException">A logit is NaN or +∞, or all are −∞.</exception>
    public TokenLogProbs LogProbsOf(ReadOnlySpan<float> logits, int id, int topCount, long position)
        => LogProbs.Of(logits, id, topCount, position, _weights);

    /// <summary>The logits after penalties, bias and mask.</summary>
    private ReadOnlySpan<float> Score(ReadOnlySpan<float> logits, in RowChoice choice)
    {
        if (logits.Length != VocabSize || choice.Rule.VocabSize != VocabSize)
        {
            throw new ArgumentException(
                $"the chooser is made for {VocabSize} tokens; there are {logits.Length} logits, and the rule is made for {choice.Rule.VocabSize} tokens");
        }

        if (!choice.Mask.IsEmpty && choice.Mask.Length != (VocabSize + 31) / 32)
        {
            throw new ArgumentException($"a mask of {VocabSize} tokens has {(VocabSize + 31) / 32} words of 32 bits; this one has {choice.Mask.Length}");
        }

        if (!choice.Rule.ChangesScores && choice.Mask.IsEmpty)
        {
            return logits;
        }

        LogitScan.Max(logits, choice.Position); // What is not finite could be hidden by a mask.
        logits.CopyTo(_scores);
        Penalties.Apply(_scores, choice);
        return _scores;
    }

    /// <summary>The largest of the scores, or of their blocks' maxima.</summary>
    private static float MaxOf(ReadOnlySpan<float> scores, in RowChoice choice)
    {
        var max = LogitScan.MaxOrNaN(scores);
        return float.IsFinite(max) ? max
            : choice.Mask.IsEmpty ? throw new NonFiniteLogitsException(choice.Position, max)
            : throw new InvalidOperationException(
                $"the mask for position {choice.Position} leaves no token: of those that it allows, the model rules out every one; allow more");
    }

    /// <summary>Where top-k and then top-p cut. Temperature does not change the ranking, so top-k looks first and leaves the exponentials of k
    /// tokens only.</summary>
    private RankCut FindCut(SamplingRule rule, ReadOnlySpan<float> scores, float max)
    {
        var cut = RankCut.KeepAll;
        if (rule.TopK > 0)
        {
            cut = RankSelection.KeepCount(scores, max, rule.TopK, _ranks);
        }

        if (rule.TopP < 1)
        {
            if (rule.TopK > 0)
            {
                var count = cut.Keep(scores, scores, float.NegativeInfinity, areAllIds: true, _keptIds, _keptScores);
                scores = _keptScores.AsSpan(0, count);
            }

            var weights = _weights.AsSpan(0, scores.Length);
            Softmax.Weights(scores, max, rule.Temperature, weights);
            cut = RankSelection.KeepShare(scores, weights, max, rule.Temperature, rule.TopP, _ranks);
        }

        return cut;
    }
}
