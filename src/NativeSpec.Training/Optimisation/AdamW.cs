using System.Numerics;
using System.Numerics.Tensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Optimisation;

/// <summary>AdamW (Kingma and Ba, 2015; Loshchilov and Hutter, 2019), with the gradient's length clipped first:
/// <code>
/// g ← g · min(1, clip / ‖g‖)
/// m ← β1 m + (1 − β1) g        v ← β2 v + (1 − β2) g²
/// w ← w − rate · ( m / (1 − β1^t) / (sqrt(v / (1 − β2^t)) + ε) + decay · w )
/// </code></summary>
internal sealed class AdamW(Workbench bench, IReadOnlyList<Parameter> parameters, AdamWOptions options)
{
    private const int Chunk = 4096; // numbers, a multiple of every vector width; norms are summed chunk by chunk

    /// <summary>Takes one step with the gradients as they are, then sets them to zero.</summary>
    /// <param name="step">t, the first step is 1.</param>
    /// <param name="rate">The learning rate.</param>
    /// <returns>‖g‖ before clipping, over the parameters that learn. Where it is not finite nothing is changed.</returns>
    public double Step(long step, double rate)
    {
        var norm = GradientNorm();
        if (!double.IsFinite(norm))
        {
            return norm;
        }

        var clip = (float)Math.Min(1, options.ClipNorm / Math.Max(norm, double.Epsilon));
        var firstCorrection = (float)(1 / (1 - Math.Pow(options.Beta1, step)));
        var secondCorrection = (float)(1 / (1 - Math.Pow(options.Beta2, step)));
        foreach (var parameter in parameters.Where(parameter => parameter.LearningRateFactor > 0))
        {
            var own = (float)(rate * parameter.LearningRateFactor);
            var decay = parameter.Decays ? (float)options.WeightDecay : 0;
            var length = parameter.Value.All.Length;
            bench.ForRanges((length + Chunk - 1) / Chunk, (begin, end) =>
            {
                var (first, count) = (begin * Chunk, Math.Min(end * Chunk, length) - (begin * Chunk));
                Update(
                    parameter.Value.All.Slice(first, count),
                    parameter.Gradient.All.Slice(first, count),
                    parameter.FirstMoment.Slice(first, count),
                    parameter.SecondMoment.Slice(first, count),
                    new Rates(own, decay, clip, firstCorrection, secondCorrection));
                parameter.Gradient.All.Slice(first, count).Clear();
            });
        }

        foreach (var parameter in parameters.Where(parameter => parameter.LearningRateFactor <= 0))
        {
            parameter.Gradient.All.Clear();
        }

        return norm;
    }

    private double GradientNorm()
    {
        var squares = 0.0;
        foreach (var parameter in parameters.Where(parameter => parameter.LearningRateFactor > 0))
        {
            var gradient = parameter.Gradient;
            var chunks = new double[(gradient.All.Length + Chunk - 1) / Chunk];
            bench.ForRanges(chunks.Length, (begin, end) =>
            {
                for (var i = begin; i < end; i++)
                {
                    chunks[i] = TensorPrimitives.SumOfSquares<float>(gradient.All[(i * Chunk)..Math.Min((i + 1) * Chunk, gradient.All.Length)]);
                }
            });
            squares += chunks.Sum();
        }

        return Math.Sqrt(squares);
    }

    private void Update(Span<float> weights, ReadOnlySpan<float> gradient, Span<float> m, Span<float> v, Rates rates)
    {
        float beta1 = (float)options.Beta1, beta2 = (float)options.Beta2, epsilon = (float)options.Epsilon;
        var i = 0;
        for (; i <= weights.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var g = new Vector<float>(gradient[i..]) * rates.Clip;
            var first = (new Vector<float>(m[i..]) * beta1) + (g * (1 - beta1));
            var second = (new Vector<float>(v[i..]) * beta2) + (g * g * (1 - beta2));
            first.CopyTo(m[i..]);
            second.CopyTo(v[i..]);
            var w = new Vector<float>(weights[i..]);
            var direction = first * rates.FirstCorrection / (Vector.SquareRoot(second * rates.SecondCorrection) + new Vector<float>(epsilon));
            (w - ((direction + (w * rates.Decay)) * rates.Learning)).CopyTo(weights[i..]);
        }

        for (; i < weights.Length; i++)
        {
            var g = gradient[i] * rates.Clip;
            m[i] = (m[i] * beta1) + (g * (1 - beta1));
            v[i] = (v[i] * beta2) + (g * g * (1 - beta2));
            var direction = m[i] * rates.FirstCorrection / (MathF.Sqrt(v[i] * rates.SecondCorrection) + epsilon);
            weights[i] -= (direction + (weights[i] * rates.Decay)) * rates.Learning;
        }
    }

    private readonly record struct Rates(float Learning, float Decay, float Clip, float FirstCorrection, float SecondCorrection);
}

/// <summary>The constants of AdamW.</summary>
/// <param name="WeightDecay">How strongly matrices are pulled to zero.</param>
/// <param name="ClipNorm">Longest gradient.</param>
/// <param name="Beta1">Memory of the gradient's mean.</param>
/// <param name="Beta2">Memory of its square's mean.</param>
/// <param name="Epsilon">Keeps the division away from zero.</param>
internal readonly record struct AdamWOptions(double WeightDecay, double ClipNorm, double Beta1 = 0.9, double Beta2 = 0.95, double Epsilon = 1e-8);
