using System.Numerics;

namespace NativeSpec.Speculation;

/// <summary>The k largest of many logits. A vocabulary is read once, a vector at a time, and almost every vector holds nothing above the
/// k-th largest so far, so the cost is that of one comparison per lane.</summary>
internal static class LogitTopK
{
    // Vectors compared before one branch is taken.
    private const int Unroll = 4;

    /// <summary>Finds the largest logits, equal ones by lowest index.</summary>
    /// <param name="logits">[n], no NaN.</param>
    /// <param name="indices">[k] filled with the indices, largest logit first.</param>
    /// <param name="values">[k] their logits.</param>
    /// <returns>How many were found: the smaller of k and n.</returns>
    public static int Find(ReadOnlySpan<float> logits, Span<int> indices, Span<float> values)
    {
        var k = Math.Min(indices.Length, logits.Length);
        var count = 0;
        var i = 0;
        for (; i < k; i++)
        {
            Insert(i, logits[i], indices[..k], values[..k], ref count);
        }

        if (k == 0)
        {
            return 0;
        }

        var step = Unroll * Vector<float>.Count;
        for (; i <= logits.Length - step; i += step)
        {
            var least = new Vector<float>(values[k - 1]);
            var block = logits.Slice(i, step);
            var above = Vector.GreaterThan(new Vector<float>(block), least);
            for (var v = 1; v < Unroll; v++)
            {
                above |= Vector.GreaterThan(new Vector<float>(block[(v * Vector<float>.Count)..]), least);
            }

            if (above == Vector<int>.Zero)
            {
                continue;
            }

            for (var j = 0; j < step; j++)
            {
                if (block[j] > values[k - 1])
                {
                    Insert(i + j, block[j], indices[..k], values[..k], ref count);
                }
            }
        }

        for (; i < logits.Length; i++)
        {
            if (logits[i] > values[k - 1])
            {
                Insert(i, logits[i], indices[..k], values[..k], ref count);
            }
        }

        return k;
    }

    /// <summary>Puts a logit at its place behind those that are not smaller; the last one falls out of a full list.</summary>
    private static void Insert(int index, float value, Span<int> indices, Span<float> values, ref int count)
    {
        var place = count < indices.Length ? count++ : indices.Length - 1;
        for (; place > 0 && values[place - 1] < value; place--)
        {
            values[place] = values[place - 1];
            indices[place] = indices[place - 1];
        }

        values[place] = value;
        indices[place] = index;
    }
}
