using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>Finds the cuts of top-k and top-p without ranking the vocabulary.</summary>
/// <remarks>
/// <para>Both ask where the running sum of something (one per token, or its probability mass) over the ranking first reaches a target.
/// The sum over the head "all scores of at least t" needs one pass in wide vectors. So t falls from the maximum in doubling steps until
/// its head reaches the target, then the bracket is halved until few tokens lie between its ends; these are moved together whenever they
/// are a quarter of what a pass looks at. A radix selection on the last of them finds the token. However the scores lie, the number of passes is bounded.</para>
/// <para>Masses are integers small enough that float64 adds them exactly, so a sum is the same in any order, and the cut is exactly the
/// one that adding up along a full stable sort finds.</para>
/// </remarks>
internal static class RankSelection
{
    /// <summary>Number of sums that a selection keeps: one for each value of an 11-bit digit.</summary>
    public const int SumCount = 1 << DigitBits;

    private const int DigitBits = 11;
    private const float FirstStride = 4;
    private const int MaxDoublings = 4;
    private const int MaxHalvings = 16;
    private const int FewTokens = 256;

    /// <summary>A weight of 1 as a mass. A vocabulary is below 2²⁰, so sums stay below 2⁵² and float64 holds them exactly. A weight
    /// below 2⁻³³ of the largest has no mass and cannot move a cut.</summary>
    private const float MassScale = 1L << 32;

    private interface IMeasure
    {
        static abstract float Of(float weight);

        static abstract Vector<float> Of(Vector<float> weights);
    }

    /// <summary>The cut that keeps the <paramref name="k"/> highest scores.</summary>
    /// <param name="scores">[n], ids ascending, no NaN.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="k">Between 1 and n.</param>
    /// <param name="workspace">For at least n tokens.</param>
    public static RankCut KeepCount(ReadOnlySpan<float> scores, float max, int k, RankWorkspace workspace) =>
        Select<OnePerToken>(scores, scores, max, scale: 1, k, workspace);

    /// <summary>The cut that keeps the shortest head of the ranking whose share of the total mass is at least
    /// <paramref name="share"/>.</summary>
    /// <param name="scores">[n], ids ascending, no NaN.</param>
    /// <param name="weights">[n], in [0, 1], equal where the scores are equal, the largest 1.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="temperature">The temperature of the weights: the scale on which scores matter.</param>
    /// <param name="share">At least 0 and below 1; 0 keeps the highest score, the first of several.</param>
    /// <param name="workspace">For at least n tokens.</param>
    public static RankCut KeepShare(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float max, float temperature, float share, RankWorkspace workspace)
    {
        var (total, _) = SumHead<Mass>(scores, weights, float.NegativeInfinity);
        return Select<Mass>(scores, weights, max, temperature, Math.Max(1, Math.Ceiling(share * total)), workspace);
    }

    /// <summary>The integer mass of a weight in [0, 1].</summary>
    public static double MassOf(float weight) => Mass.Of(weight);

    private static RankCut Select<TMeasure>(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float max, float scale, double target, RankWorkspace workspace)
        where TMeasure : struct, IMeasure
    {
        // The cut lies in [low, high): the head of low reaches the target, that of high does not.
        var (high, sumOfHigh, countOfHigh) = (float.PositiveInfinity, 0.0, 0);
        var (low, countOfLow) = (float.NegativeInfinity, scores.Length);
        var (doublings, halvings) = (0, 0);
        while (true)
        {
            var (isBounded, between) = (float.IsFinite(low), countOfLow - countOfHigh);
            var isLast = between <= FewTokens || (isBounded ? halvings++ == MaxHalvings : doublings == MaxDoublings);
            if (isLast || between <= scores.Length / 4)
            {
                // What lies between the ends is moved together, so that the passes to come are short.
                countOfLow = Gather(scores, weights, low, high, workspace.Scores, workspace.Weights);
                scores = workspace.Scores.AsSpan(0, countOfLow);
                weights = workspace.Weights.AsSpan(0, countOfLow);
                target -= sumOfHigh;
                (sumOfHigh, countOfHigh) = (0, 0);
            }

            if (isLast)
            {
                return SelectByDigits<TMeasure>(scores, weights, target, workspace.Sums);
            }

            var bound = isBounded ? (low / 2) + (Math.Min(high, max) / 2) : max - (FirstStride * scale * (1 << doublings++));
            var (sum, count) = SumHead<TMeasure>(scores, weights, bound);
            if (sum >= target)
            {
                (low, countOfLow) = (bound, count);
            }
            else
            {
                (high, sumOfHigh, countOfHigh) = (bound, sum, count);
            }
        }
    }

    /// <summary>What all tokens with a score of at least <paramref name="bound"/> add up to, and their number.</summary>
    private static (double Sum, int Count) SumHead<TMeasure>(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float bound)
        where TMeasure : struct, IMeasure
    {
        var (bounds, counts) = (new Vector<float>(bound), Vector<int>.Zero);
        var (sums, moreSums) = (Vector<double>.Zero, Vector<double>.Zero);
        var scoreBlocks = MemoryMarshal.Cast<float, Vector<float>>(scores);
        var weightBlocks = MemoryMarshal.Cast<float, Vector<float>>(weights);
        for (var block = 0; block < scoreBlocks.Length; block++)
        {
            var isInHead = Vector.GreaterThanOrEqual(scoreBlocks[block], bounds);
            var measures = TMeasure.Of(weightBlocks[block]) & Vector.AsVectorSingle(isInHead);
            Vector.Widen(measures, out var lower, out var upper);
            sums += lower;
            moreSums += upper;
            counts -= isInHead; // True is −1.
        }

        var (sum, count) = (Vector.Sum(sums) + Vector.Sum(moreSums), Vector.Sum(counts));
        for (var i = scoreBlocks.Length * Vector<float>.Count; i < scores.Length; i++)
        {
            if (scores[i] >= bound)
            {
                sum += TMeasure.Of(weights[i]);
                count++;
            }
        }

        return (sum, count);
    }

    /// <summary>Moves scores and weights of the tokens with a score in [low, high) to the front, in order; returns how many. May write over
    /// what it reads from.</summary>
    private static int Gather(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float low, float high, Span<float> intoScores, Span<float> intoWeights)
    {
        var count = 0;
        var (lows, highs) = (Vector256.Create(low), Vector256.Create(high));
        var start = 0;
        for (; start <= scores.Length - Compaction.BlockLength; start += Compaction.BlockLength)
        {
            var (score, weight) = (Vector256.Create(scores[start..]), Vector256.Create(weights[start..]));
            var inside = (Vector256.GreaterThanOrEqual(score, lows) & Vector256.LessThan(score, highs)).ExtractMostSignificantBits();
            Compaction.ToFront(score, inside).CopyTo(intoScores[count..]);
            Compaction.ToFront(weight, inside).CopyTo(intoWeights[count..]);
            count += BitOperations.PopCount(inside);
        }

        for (; start < scores.Length; start++)
        {
            if (scores[start] >= low && scores[start] < high)
            {
                (intoScores[count], intoWeights[count]) = (scores[start], weights[start]);
                count++;
            }
        }

        return count;
    }

    /// <summary>Radix selection: sums by the leading digit of the key, walks the sums from the top to the digit in which the target is
    /// reached, and looks into that digit with the next one.</summary>
    private static RankCut SelectByDigits<TMeasure>(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, double remaining, Span<double> workspace)
        where TMeasure : struct, IMeasure
    {
        var prefix = 0u; // the digits found so far
        for (var below = 32; below > 0;)
        {
            var above = below;
            below = Math.Max(0, below - DigitBits);
            var sums = workspace[..(1 << (above - below))];
            sums.Clear();
            for (var token = 0; token < scores.Length; token++)
            {
                var key = KeyOf(scores[token]);
                if ((ulong)key >> above == prefix)
                {
                    sums[(int)((key >> below) & (uint)(sums.Length - 1))] += TMeasure.Of(weights[token]);
                }
            }

            var digit = sums.Length - 1;
            while (digit > 0 && sums[digit] < remaining)
            {
                remaining -= sums[digit--];
            }

            prefix = (prefix << (above - below)) | (uint)digit;
        }

        // Tokens at the cut have equal scores and therefore equal masses.
        for (var token = 0; token < scores.Length; token++)
        {
            if (KeyOf(scores[token]) == prefix)
            {
                return new RankCut(scores[token], (int)Math.Ceiling(remaining / TMeasure.Of(weights[token])));
            }
        }

        throw new System.Diagnostics.UnreachableException();
    }

    /// <summary>An unsigned number that is ordered like the score; −0 and +0 are one score.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint KeyOf(float score)
    {
        var bits = BitConverter.SingleToInt32Bits(score + 0f);
        return (uint)(bits ^ ((bits >> 31) | int.MinValue));
    }

    private readonly struct OnePerToken : IMeasure
    {
        public static float Of(float weight) => 1;

        public static Vector<float> Of(Vector<float> weights) => Vector<float>.One;
    }

    private readonly struct Mass : IMeasure
    {
        public static float Of(float weight) => MathF.Round(weight * MassScale);

        public static Vector<float> Of(Vector<float> weights) => Vector.Round(weights * MassScale);
    }
}
