using System.Numerics;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>Where top-k or top-p cuts the tokens ranked by score, equal scores by lowest id: every token with a score above
/// <see cref="Score"/> stays, and of the tokens with that score the first <see cref="Ties"/> in order of their ids.</summary>
internal readonly record struct RankCut(float Score, int Ties)
{
    private const int BlockLength = Compaction.BlockLength;

    /// <summary>The cut that keeps every token.</summary>
    public static RankCut KeepAll { get; } = new(float.NegativeInfinity, int.MaxValue);

    /// <summary>Moves the tokens that stay to the front, in order.</summary>
    /// <param name="scores">[n], ids ascending, no NaN. May be the memory of <paramref name="kept"/>.</param>
    /// <param name="values">[n], what to keep of a token: its score or its weight. May be the memory of <paramref name="kept"/>.</param>
    /// <param name="leastValue">Tokens with a lower value go too.</param>
    /// <param name="areAllIds">The n tokens are the ids 0 to n − 1; else <paramref name="ids"/> names them.</param>
    /// <param name="ids">[n], receives the ids that stay.</param>
    /// <param name="kept">[n], receives the values that stay.</param>
    /// <returns>How many stay.</returns>
    public int Keep(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> values, float leastValue, bool areAllIds, Span<int> ids, Span<float> kept)
    {
        var (ties, count) = (Ties, 0);
        var (cutScore, least, lanes) = (Vector256.Create(Score), Vector256.Create(leastValue), Vector256<int>.Indices);
        var start = 0;
        for (; start <= scores.Length - BlockLength; start += BlockLength)
        {
            var score = Vector256.Create(scores[start..]);
            var stays = Vector256.GreaterThan(score, cutScore).ExtractMostSignificantBits();
            for (var tied = Vector256.Equals(score, cutScore).ExtractMostSignificantBits(); tied != 0 && ties > 0; tied &= tied - 1)
            {
                stays |= tied & (0 - tied);
                ties--;
            }

            var value = Vector256.Create(values[start..]);
            stays &= Vector256.GreaterThanOrEqual(value, least).ExtractMostSignificantBits();

            // All eight are written, and the next block writes over those that go. What is written to was read before: count ≤ start.
            var id = areAllIds ? lanes + Vector256.Create(start) : Vector256.Create<int>(ids[start..]);
            Compaction.ToFront(id, stays).CopyTo(ids[count..]);
            Compaction.ToFront(value, stays).CopyTo(kept[count..]);
            count += BitOperations.PopCount(stays);
        }

        for (; start < scores.Length; start++)
        {
            if ((scores[start] > Score || (scores[start] == Score && ties-- > 0)) && values[start] >= leastValue)
            {
                ids[count] = areAllIds ? start : ids[start];
                kept[count++] = values[start];
            }
        }

        return count;
    }
}
