namespace NativeSpec.Sampling;

/// <summary>The tokens that the filters of one position leave, as a test of a single token.</summary>
/// <param name="Cut">Where top-k and top-p cut.</param>
/// <param name="LastTie">The last id that stays of those with the cut's score.</param>
/// <param name="LeastWeight">Min-p: the least weight that stays.</param>
/// <param name="Max">The largest score, whose weight is 1.</param>
/// <param name="Temperature">The temperature of the weights.</param>
internal readonly record struct KeptTokens(RankCut Cut, int LastTie, float LeastWeight, float Max, float Temperature)
{
    /// <summary>The tokens that a cut and min-p leave.</summary>
    /// <param name="scores">[vocab], no NaN.</param>
    /// <param name="cut">Where top-k and top-p cut.</param>
    /// <param name="leastWeight">Min-p.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="temperature">Above 0.</param>
    public static KeptTokens Of(ReadOnlySpan<float> scores, RankCut cut, float leastWeight, float max, float temperature)
        => new(cut, float.IsNegativeInfinity(cut.Score) ? int.MaxValue : LastTieOf(scores, cut), leastWeight, max, temperature);

    /// <summary>Whether a token stays. One that is ruled out, with a score of −∞, may be said to: it cannot be chosen.</summary>
    public bool Has(int id, float score)
        => (score > Cut.Score || (score == Cut.Score && id <= LastTie))
            && (LeastWeight == 0 || Softmax.Weight(score, Max, Temperature) >= LeastWeight);

    private static int LastTieOf(ReadOnlySpan<float> scores, RankCut cut)
    {
        var last = -1;
        for (var left = cut.Ties; left > 0; left--)
        {
            var next = LogitScan.IndexOf(scores[(last + 1)..], cut.Score);
            if (next < 0)
            {
                throw new System.Diagnostics.UnreachableException();
            }

            last += 1 + next;
        }

        return last;
    }
}
