namespace NativeSpec.Speculation;

/// <summary>Arithmetic of the residual walk on dense probabilities. p is the target's, q the draft's, in this order, everywhere; both stay
/// in float32 and sums in float64.</summary>
internal static class Residual
{
    /// <summary>p ← max(p − q, 0), and the sum of what is left. (Leviathan et al., 2023; Chen et al., 2023.)</summary>
    public static double Subtract(Span<float> p, ReadOnlySpan<float> q)
    {
        var sum = 0.0;
        for (var i = 0; i < p.Length; i++)
        {
            p[i] = Math.Max(p[i] - q[i], 0);
            sum += p[i];
        }

        return sum;
    }

    /// <summary>The sum, in order.</summary>
    public static double Sum(ReadOnlySpan<float> weights)
    {
        var sum = 0.0;
        foreach (var weight in weights)
        {
            sum += weight;
        }

        return sum;
    }

    /// <summary>Divides by the sum.</summary>
    public static void Normalise(Span<float> weights, double sum)
    {
        for (var i = 0; i < weights.Length; i++)
        {
            weights[i] = (float)(weights[i] / sum);
        }
    }

    /// <summary>The index at which the running sum passes <paramref name="target"/>; the last one with a weight where rounding leaves none.
    /// Never one without a weight.</summary>
    public static int IndexAt(ReadOnlySpan<float> weights, double target)
    {
        var (sum, last) = (0.0, -1);
        for (var i = 0; i < weights.Length; i++)
        {
            if (weights[i] > 0)
            {
                last = i;
                sum += weights[i];
                if (sum > target)
                {
                    break;
                }
            }
        }

        return last >= 0 ? last : throw new InvalidOperationException("the distribution has no weight left");
    }
}
