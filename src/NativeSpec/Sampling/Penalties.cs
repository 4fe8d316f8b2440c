namespace NativeSpec.Sampling;

/// <summary>The first steps of sampling: what the text so far, the request's bias and a mask do to the scores of tokens. Penalties and bias touch
/// the tokens they speak of and no others, so they cost nothing in the size of the vocabulary.</summary>
internal static class Penalties
{
    /// <summary>Changes the scores in place. A finite score stays finite: what a huge penalty would carry beyond the range of float32 stops at
    /// its end. −∞ stays −∞.</summary>
    /// <param name="scores">[vocab], logits on entry: no NaN, no +∞.</param>
    /// <param name="choice">Rule, text and mask.</param>
    public static void Apply(Span<float> scores, in RowChoice choice)
    {
        var rule = choice.Rule;
        if (rule.NeedsHistory)
        {
            foreach (var seen in choice.Seen)
            {
                ref var score = ref scores[seen.Id];
                score = Bounded(score, score < 0 ? score * rule.RepetitionPenalty : score / rule.RepetitionPenalty);
                if (seen.InOutput > 0)
                {
                    score = Bounded(score, score - (rule.PresencePenalty + (rule.FrequencyPenalty * seen.InOutput)));
                }
            }
        }

        for (var i = 0; i < rule.BiasedIds.Length; i++)
        {
            ref var score = ref scores[rule.BiasedIds[i]];
            score = Bounded(score, score + rule.Biases[i]);
        }

        if (!choice.Mask.IsEmpty)
        {
            RuleOut(scores, choice.Mask);
        }
    }

    private static float Bounded(float before, float after) =>
        float.IsNegativeInfinity(before) ? before : Math.Clamp(after, -float.MaxValue, float.MaxValue);

    private static void RuleOut(Span<float> scores, ReadOnlySpan<uint> mask)
    {
        const int Bits = 32;
        for (var start = 0; start < scores.Length; start += Bits)
        {
            var allowed = mask[start / Bits];
            if (allowed == uint.MaxValue)
            {
                continue;
            }

            var block = scores.Slice(start, Math.Min(Bits, scores.Length - start));
            for (var i = 0; i < block.Length; i++)
            {
                block[i] = (allowed >> i & 1) == 0 ? float.NegativeInfinity : block[i];
            }
        }
    }
}
