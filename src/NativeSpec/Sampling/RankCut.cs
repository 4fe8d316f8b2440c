using System.Runtime.CompilerServices;

namespace NativeSpec.Sampling;

/// <summary>Where top-k and top-p cut the tokens ranked by score, equal scores by lowest id: everything with a key above
/// <see cref="Key"/> stays, and of the tokens at <see cref="Key"/> the first <see cref="Ties"/> in order of their ids.</summary>
/// <remarks>The ranking is defined by a full stable sort but never made. Both cuts ask where the running sum of something (one per
/// token, or its probability mass) over the ranking first reaches a target. So: add up by the distance from the maximum in steps of
/// 1/64, walk the sums from the top to the step in which the target is reached, and do the same within that step by the digits of the
/// key, a radix selection. The work is linear whatever the scores are. Masses are integers, so their sum is the same in any order and
/// the cut is exactly that of the sort.</remarks>
internal readonly record struct RankCut(uint Key, long Ties)
{
    /// <summary>Number of sums that a selection keeps: one for each step, then for each value of an 11-bit digit.</summary>
    public const int SumCount = 1 << DigitBits;

    private const int DigitBits = 11;
    private const float StepsPerUnit = 64;

    /// <summary>A weight of 1 as a mass. Weights are at most 1 and vocabularies below 2²⁰, so a sum of masses stays below 2⁶¹; a weight
    /// below 2⁻⁴⁰ of the largest has no mass and cannot move a cut.</summary>
    private const float MassScale = 1L << 40;

    private interface IMeasure
    {
        static abstract long Of(float weight);
    }

    /// <summary>The cut that keeps the <paramref name="k"/> highest scores.</summary>
    /// <param name="scores">[n], ids ascending, no NaN.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="k">Between 1 and n.</param>
    /// <param name="workspace">For at least n tokens.</param>
    public static RankCut KeepCount(ReadOnlySpan<float> scores, float max, int k, SamplerWorkspace workspace)
    {
        SumBySteps<OnePerToken>(scores, scores, max, workspace.Sums);
        return Select<OnePerToken>(scores, scores, max, k, workspace);
    }

    /// <summary>The cut that keeps the shortest head of the ranking whose share of the total weight is at least
    /// <paramref name="share"/>.</summary>
    /// <param name="scores">[n], ids ascending, no NaN.</param>
    /// <param name="weights">[n], in [0, 1], equal where the scores are equal, the largest 1.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="share">Above 0 and below 1.</param>
    /// <param name="workspace">For at least n tokens.</param>
    public static RankCut KeepShare(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float max, float share, SamplerWorkspace workspace)
    {
        SumBySteps<Mass>(scores, weights, max, workspace.Sums);
        var total = 0L;
        foreach (var sum in workspace.Sums)
        {
            total += sum;
        }

        var target = Math.Min(total, (long)Math.Ceiling((double)share * total));
        return Select<Mass>(scores, weights, max, target, workspace);
    }

    /// <summary>The integer mass of a weight in [0, 1].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long MassOf(float weight) => float.ConvertToIntegerNative<long>(weight * MassScale);

    /// <summary>An unsigned number that is ordered like the score; −0 and +0 are one score.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint KeyOf(float score)
    {
        var bits = BitConverter.SingleToInt32Bits(score + 0f);
        return (uint)(bits ^ ((bits >> 31) | int.MinValue));
    }

    /// <summary>The step of a score. Each operation is monotone also when it rounds, so a higher score is never in a later step; what
    /// is far below the maximum shares the last one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int StepOf(float score, float max) =>
        float.ConvertToIntegerNative<int>(float.MinNative((max - score) * StepsPerUnit, SumCount - 1));

    private static void SumBySteps<TMeasure>(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float max, Span<long> sums)
        where TMeasure : struct, IMeasure
    {
        sums.Clear();
        for (var i = 0; i < scores.Length; i++)
        {
            sums[StepOf(scores[i], max)] += TMeasure.Of(weights[i]);
        }
    }

    /// <summary>Finds the cut, given the sums by steps.</summary>
    private static RankCut Select<TMeasure>(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, float max, long target, SamplerWorkspace workspace)
        where TMeasure : struct, IMeasure
    {
        var step = 0;
        var remaining = target;
        while (step < SumCount - 1 && workspace.Sums[step] < remaining)
        {
            remaining -= workspace.Sums[step++];
        }

        var candidates = Gather(scores, max, step, workspace.Candidates);
        var key = 0u; // the digits found so far
        for (var below = 32; below > 0;)
        {
            var above = below;
            below = Math.Max(0, below - DigitBits);
            var sums = workspace.Sums.AsSpan(0, 1 << (above - below));
            SumByDigit<TMeasure>(scores, weights, candidates, key, above, below, sums);
            var digit = sums.Length - 1;
            while (digit > 0 && sums[digit] < remaining)
            {
                remaining -= sums[digit--];
            }

            key = (key << (above - below)) | (uint)digit;
        }

        // Tokens at the cut have equal scores and therefore equal masses.
        var mass = TMeasure.Of(weights[FirstAt(scores, candidates, key)]);
        return new RankCut(key, (remaining + mass - 1) / mass);
    }

    /// <summary>The tokens of one step. Every token is written and the place moves on behind the right ones, because a branch on
    /// scattered tokens is guessed wrong often.</summary>
    private static ReadOnlySpan<int> Gather(ReadOnlySpan<float> scores, float max, int step, Span<int> candidates)
    {
        var count = 0;
        for (var i = 0; i < scores.Length; i++)
        {
            candidates[count] = i;
            count += StepOf(scores[i], max) == step ? 1 : 0;
        }

        return candidates[..count];
    }

    /// <summary>Sums the masses of the candidates whose key agrees with <paramref name="prefix"/> from bit <paramref name="above"/>
    /// upwards, by the digit between that bit and bit <paramref name="below"/>.</summary>
    private static void SumByDigit<TMeasure>(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, ReadOnlySpan<int> candidates, uint prefix, int above, int below, Span<long> sums)
        where TMeasure : struct, IMeasure
    {
        sums.Clear();
        var mask = (uint)sums.Length - 1;
        foreach (var i in candidates)
        {
            var key = KeyOf(scores[i]);
            if ((ulong)key >> above == prefix)
            {
                sums[(int)((key >> below) & mask)] += TMeasure.Of(weights[i]);
            }
        }
    }

    private static int FirstAt(ReadOnlySpan<float> scores, ReadOnlySpan<int> candidates, uint key)
    {
        var place = 0;
        while (KeyOf(scores[candidates[place]]) != key)
        {
            place++;
        }

        return candidates[place];
    }

    private readonly struct OnePerToken : IMeasure
    {
        public static long Of(float weight) => 1;
    }

    private readonly struct Mass : IMeasure
    {
        public static long Of(float weight) => MassOf(weight);
    }
}
