using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>softmax(s / T)ᵢ = wᵢ / Σw with wᵢ = exp((sᵢ − max s) / T), in two parts: the weights, and their sum.</summary>
/// <remarks>The maximum is subtracted before anything can overflow, also before the division by a small temperature, so every weight is
/// in [0, 1] and the largest is exactly 1 (the runtime's exp is an ulp above 1 at 0 and is cut off there). A weight depends on its own
/// score, the maximum and the temperature, and not on its neighbours or its place in the span: what does not fill a vector goes through
/// the same vector code in a padded block. The sum is taken in one order on every machine. So equal rows of logits give equal bits,
/// wherever in a batch they were computed.</remarks>
internal static class Softmax
{
    private const int Lanes = 16;

    /// <summary>wᵢ = exp((sᵢ − max) / temperature).</summary>
    /// <param name="scores">[n], none above <paramref name="max"/>; −∞ gives 0.</param>
    /// <param name="max">The largest score, finite.</param>
    /// <param name="temperature">Above 0.</param>
    /// <param name="weights">[n], in [0, 1]; may be the scores' own memory.</param>
    public static void Weights(ReadOnlySpan<float> scores, float max, float temperature, Span<float> weights)
    {
        var done = Vector512.IsHardwareAccelerated ? Weights512(scores, max, temperature, weights)
            : Vector256.IsHardwareAccelerated ? Weights256(scores, max, temperature, weights)
            : Weights128(scores, max, temperature, weights);
        if (done < scores.Length)
        {
            Span<float> block = stackalloc float[Lanes];
            block.Fill(max);
            var rest = scores[done..];
            rest.CopyTo(block);
            Weights(block, max, temperature, block);
            block[..rest.Length].CopyTo(weights[done..]);
        }
    }

    /// <summary>The weight of one score, the same bits as among others.</summary>
    public static float Weight(float score, float max, float temperature)
    {
        Weights(new ReadOnlySpan<float>(in score), max, temperature, new Span<float>(ref score));
        return score;
    }

    /// <summary>Σw in float64: lane l adds the weights l, l + 16, l + 32, … in order, then the lanes are added from the first to the
    /// last.</summary>
    public static double Sum(ReadOnlySpan<float> weights)
    {
        Span<double> lanes = stackalloc double[Lanes];
        lanes.Clear();
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            var low = Vector512<double>.Zero;
            var high = Vector512<double>.Zero;
            for (; i <= weights.Length - Lanes; i += Lanes)
            {
                var (lower, upper) = Vector512.Widen(Vector512.Create(weights[i..]));
                low += lower;
                high += upper;
            }

            low.CopyTo(lanes);
            high.CopyTo(lanes[(Lanes / 2)..]);
        }

        for (; i < weights.Length; i++)
        {
            lanes[i % Lanes] += weights[i];
        }

        var sum = 0.0;
        foreach (var lane in lanes)
        {
            sum += lane;
        }

        return sum;
    }

    private static int Weights128(ReadOnlySpan<float> scores, float max, float temperature, Span<float> weights)
    {
        var (shift, divisor) = (Vector128.Create(max), Vector128.Create(temperature));
        var i = 0;
        for (; i <= scores.Length - Vector128<float>.Count; i += Vector128<float>.Count)
        {
            var exp = Vector128.Exp((Vector128.Create(scores[i..]) - shift) / divisor);
            Vector128.Min(exp, Vector128<float>.One).CopyTo(weights[i..]);
        }

        return i;
    }

    private static int Weights256(ReadOnlySpan<float> scores, float max, float temperature, Span<float> weights)
    {
        var (shift, divisor) = (Vector256.Create(max), Vector256.Create(temperature));
        var i = 0;
        for (; i <= scores.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            var exp = Vector256.Exp((Vector256.Create(scores[i..]) - shift) / divisor);
            Vector256.Min(exp, Vector256<float>.One).CopyTo(weights[i..]);
        }

        return i;
    }

    private static int Weights512(ReadOnlySpan<float> scores, float max, float temperature, Span<float> weights)
    {
        var (shift, divisor) = (Vector512.Create(max), Vector512.Create(temperature));
        var i = 0;
        for (; i <= scores.Length - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var exp = Vector512.Exp((Vector512.Create(scores[i..]) - shift) / divisor);
            Vector512.Min(exp, Vector512<float>.One).CopyTo(weights[i..]);
        }

        return i;
    }
}
