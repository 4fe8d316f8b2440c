using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>The k largest logits' ids, and what they are worth.</summary>
internal static class TopTokens
{
    /// <summary>The most that can be selected.</summary>
    public const int MaxCount = 64;

    /// <summary>Writes in one pass the ids of the largest logits in descending order, equal logits by lowest id; −1 where there are fewer. NaN and −∞
    /// are passed over.</summary>
    /// <param name="logits">[vocab]</param>
    /// <param name="ids">[k], at most <see cref="MaxCount"/>.</param>
    /// <remarks>Keeps the k best so far in order, and skips whatever is not above the last of them: of n logits in random order about
    /// k·ln(n/k) get past that, so nearly all are only compared, 32 at a time.</remarks>
    public static void Select(ReadOnlySpan<float> logits, Span<int> ids)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ids.Length, MaxCount, nameof(ids));
        Span<float> best = stackalloc float[ids.Length];
        best.Fill(float.NegativeInfinity);
        ids.Fill(-1);
        if (ids.IsEmpty)
        {
            return;
        }

        var blocks = MemoryMarshal.Cast<float, Vector256<float>>(logits);
        var i = 0;
        for (var block = 0; block + 4 <= blocks.Length; block += 4, i += 4 * Vector256<float>.Count)
        {
            var last = Vector256.Create(best[^1]);
            var above = Vector256.GreaterThan(blocks[block], last) | Vector256.GreaterThan(blocks[block + 1], last)
                | Vector256.GreaterThan(blocks[block + 2], last) | Vector256.GreaterThan(blocks[block + 3], last);
            if (above.AsInt32() != Vector256<int>.Zero)
            {
                Scan(logits.Slice(i, 4 * Vector256<float>.Count), i, best, ids);
            }
        }

        Scan(logits[i..], i, best, ids);
    }

    /// <summary>The likeliest tokens with their probabilities, those of softmax(logits). Nothing but the answer is divided.</summary>
    /// <param name="logits">[vocab]</param>
    /// <param name="max">The largest logit, finite.</param>
    /// <param name="weights">[vocab], to work in.</param>
    /// <param name="ids">[k], at most <see cref="MaxCount"/>: receives the ids as <see cref="Select"/> writes them.</param>
    /// <param name="probabilities">[k] receives their probabilities.</param>
    /// <returns>How many there are: fewer than k where fewer logits are above −∞.</returns>
    public static int SelectLikeliest(ReadOnlySpan<float> logits, float max, Span<float> weights, Span<int> ids, Span<float> probabilities)
    {
        Select(logits, ids);
        Softmax.Weights(logits, max, 1, weights);
        var sum = Softmax.Sum(weights);
        var count = 0;
        for (; count < ids.Length && ids[count] >= 0; count++)
        {
            probabilities[count] = (float)(weights[ids[count]] / sum);
        }

        return count;
    }

    private static void Scan(ReadOnlySpan<float> logits, int firstId, Span<float> best, Span<int> ids)
    {
        for (var i = 0; i < logits.Length; i++)
        {
            if (logits[i] > best[^1])
            {
                var place = best.Length - 1;
                for (; place > 0 && best[place - 1] < logits[i]; place--)
                {
                    best[place] = best[place - 1];
                    ids[place] = ids[place - 1];
                }

                best[place] = logits[i];
                ids[place] = firstId + i;
            }
        }
    }
}
