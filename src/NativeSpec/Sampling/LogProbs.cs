namespace NativeSpec.Sampling;

/// <summary>A token and the natural logarithm of its probability.</summary>
/// <param name="Id">The token.</param>
/// <param name="LogProb">log p, at most 0; −∞ when the model rules the token out.</param>
public readonly record struct TokenLogProb(int Id, float LogProb);

/// <summary>The log-probabilities of one position in the model's own distribution: the log-softmax of its logits, before penalties,
/// bias, temperature and filters.</summary>
/// <param name="Chosen">The token that was chosen.</param>
/// <param name="Top">The most likely tokens, most likely first, ties by lowest id; as many as
/// <see cref="SamplingOptions.TopLogProbs"/> asks for, fewer where the model rules all others out. The chosen token need not be among them.</param>
public sealed record TokenLogProbs(TokenLogProb Chosen, IReadOnlyList<TokenLogProb> Top);

/// <summary>log p(i) = lᵢ − max l − log Σ exp(l − max l), summed in float64 in the order of <see cref="Softmax.Sum"/>.</summary>
internal static class LogProbs
{
    /// <summary>The log-probabilities of the chosen token and of the most likely ones. Allocates the result and nothing else.</summary>
    /// <param name="logits">[vocab], as the model gave them.</param>
    /// <param name="chosen">The chosen token.</param>
    /// <param name="topCount">How many of the most likely tokens are wanted, 0 to <see cref="SamplingOptions.MaxTopLogProbs"/>.</param>
    /// <param name="position">Absolute position of the chosen token, for the message.</param>
    /// <param name="weights">[vocab] workspace.</param>
    /// <exception cref="NonFiniteLogitsException">A logit is NaN or +∞, or all are −∞.</exception>
    public static TokenLogProbs Of(ReadOnlySpan<float> logits, int chosen, int topCount, long position, Span<float> weights)
    {
        var logSum = LogSumExp(logits, position, weights);
        Span<int> ids = stackalloc int[SamplingOptions.MaxTopLogProbs];
        ids = ids[..topCount];
        TopTokens.Select(logits, ids);
        var found = ids.IndexOf(-1);
        var top = new TokenLogProb[found < 0 ? topCount : found];
        for (var rank = 0; rank < top.Length; rank++)
        {
            top[rank] = At(logits, ids[rank], logSum);
        }

        return new TokenLogProbs(At(logits, chosen, logSum), top);
    }

    /// <summary>log Σ exp(l), around the largest logit so that nothing overflows; parameters as of <see cref="Of"/>.</summary>
    public static double LogSumExp(ReadOnlySpan<float> logits, long position, Span<float> weights)
    {
        var max = LogitScan.Max(logits, position);
        Softmax.Weights(logits, max, temperature: 1, weights);
        return max + Math.Log(Softmax.Sum(weights[..logits.Length]));
    }

    private static TokenLogProb At(ReadOnlySpan<float> logits, int id, double logSum) => new(id, (float)(logits[id] - logSum));
}
