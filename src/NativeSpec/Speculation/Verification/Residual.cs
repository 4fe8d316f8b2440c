using System.Numerics.Tensors;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>Arithmetic of the residual walk on dense probabilities. p is the target's, q the draft's, in this order, everywhere; both stay
/// in float32 and sums in float64.</summary>
internal static class Residual
{
    /// <summary>p ← max(p − q, 0), and the sum of what is left. (Leviathan et al., 2023; Chen et al., 2023.)</summary>
    public static double Subtract(Span<float> p, ReadOnlySpan<float> q)
    {
        TensorPrimitives.Subtract(p, q, p);
        TensorPrimitives.Max(p, 0, p);
        return Softmax.Sum(p);
    }

    /// <summary>Divides by the sum.</summary>
    public static void Normalise(Span<float> weights, double sum) => TensorPrimitives.Divide(weights, (float)sum, weights);

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
