using System.Numerics.Tensors;

namespace NativeSpec.Speculation;

/// <summary>The k largest of many logits. A vocabulary is read once, a block at a time, and almost every block has its maximum below the
/// k-th largest so far, so the cost is little more than that of a maximum.</summary>
internal static class LogitTopK
{
    private const int Block = 128;

    /// <summary>Finds the largest logits, equal ones by lowest index.</summary>
    /// <param name="logits">[n], no NaN.</param>
    /// <param name="indices">[k] filled with the indices, largest logit first.</param>
    /// <param name="values">[k] their logits.</param>
    /// <returns>How many were found: the smaller of k and n.</returns>
    public static int Find(ReadOnlySpan<float> logits, Span<int> indices, Span<float> values)
    {
        var k = Math.Min(indices.Length, logits.Length);
        var i = 0;
        for (; i < k; i++)
        {
            Insert(i, logits[i], indices[..(i + 1)], values[..(i + 1)]);
        }

        if (k == 0)
        {
            return 0;
        }

        for (; i < logits.Length; i += Block)
        {
            var block = logits.Slice(i, Math.Min(Block, logits.Length - i));
            if (TensorPrimitives.Max(block) <= values[k - 1])
            {
                continue;
            }

            for (var j = 0; j < block.Length; j++)
            {
                if (block[j] > values[k - 1])
                {
                    Insert(i + j, block[j], indices[..k], values[..k]);
                }
            }
        }

        return k;
    }

    /// <summary>Puts a logit at its place behind those that are not smaller; the last one falls out.</summary>
    private static void Insert(int index, float value, Span<int> indices, Span<float> values)
    {
        var place = indices.Length - 1;
        for (; place > 0 && values[place - 1] < value; place--)
        {
            values[place] = values[place - 1];
            indices[place] = indices[place - 1];
        }

        values[place] = value;
        indices[place] = index;
    }
}
