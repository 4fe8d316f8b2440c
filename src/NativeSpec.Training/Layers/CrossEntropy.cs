using System.Numerics.Tensors;
using NativeSpec.Sampling;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;

namespace NativeSpec.Training.Layers;

/// <summary>What a batch lost, and how often the likeliest token was right.</summary>
/// <param name="Nats">Σ_rows of the loss.</param>
/// <param name="Hits">Rows whose largest logit is the target's, or the teacher's choice where there is one.</param>
/// <param name="Rows">Rows there were.</param>
internal readonly record struct LossSum(double Nats, long Hits, long Rows)
{
    /// <summary>Loss of a row on average.</summary>
    public double Mean => Nats / Rows;

    /// <summary>Share of rows that were hit.</summary>
    public double Accuracy => (double)Hits / Rows;

    public static LossSum operator +(LossSum a, LossSum b) => new(a.Nats + b.Nats, a.Hits + b.Hits, a.Rows + b.Rows);
}

/// <summary>The loss of logits z with q = softmax(z), and its gradient in place of the logits.
/// <code>
/// cross entropy:  −ln q_target                                       dz = q − 1[target]
/// distillation:   (1 − α)·(−ln q_target) + α·KL(p ‖ q)               dz = q − (1 − α)·1[target] − α·p
/// </code>
/// p is the teacher's softmax (Hinton et al., 2015, at temperature 1; forward Kullback-Leibler).</summary>
/// <remarks>logits: [rows, vocabulary]. Gradients are multiplied by a factor, 1/rows for the mean.</remarks>
internal sealed class CrossEntropy(Workbench bench, int vocabulary)
{
    /// <summary>Cross entropy with the tokens <paramref name="shift"/> places ahead.</summary>
    /// <param name="logits">Become their gradient, but for a factor of null.</param>
    /// <param name="batch">Has the targets.</param>
    /// <param name="shift">1 for the next token.</param>
    /// <param name="factor">Of the gradient; null leaves the logits as they are.</param>
    public LossSum Forward(Matrix logits, TokenBatch batch, int shift, double? factor)
        => Sum(batch.Rows, (row, scratch) =>
        {
            var z = logits.Row(row);
            var target = batch.Ahead(row, shift);
            var own = z[target];
            var (max, sum) = Weigh(z, factor is null ? scratch : z);
            if (factor is { } f)
            {
                TensorPrimitives.Multiply(z, (float)(f / sum), z);
                z[target] -= (float)f;
            }

            return (max + Math.Log(sum) - own, own == max);
        });

    /// <summary>Distillation from a teacher's logits. A hit is a row where both have the same likeliest token.</summary>
    /// <param name="logits">Become their gradient, but for a factor of null.</param>
    /// <param name="teacher">[rows, vocabulary]; become their softmax.</param>
    /// <param name="batch">Has the targets.</param>
    /// <param name="share">α, the divergence's share of the loss.</param>
    /// <param name="factor">Of the gradient; null leaves the logits as they are.</param>
    public LossSum Distill(Matrix logits, Matrix teacher, TokenBatch batch, float share, double? factor)
        => Sum(batch.Rows, (row, difference) =>
        {
            var z = logits.Row(row);
            var t = teacher.Row(row);
            var target = batch.Ahead(row, 1);
            var own = z[target];
            var atChoice = z[TensorPrimitives.IndexOfMax<float>(t)];
            TensorPrimitives.Subtract(t, z, difference);
            var (theirMax, theirSum) = Weigh(t, t);
            TensorPrimitives.Multiply(t, (float)(1 / theirSum), t);
            // KL(p ‖ q) = Σ p (t − z) + lse(z) − lse(t).
            var along = TensorPrimitives.Dot<float>(t, difference);
            var (max, sum) = Weigh(z, factor is null ? difference : z);
            var lse = max + Math.Log(sum);
            var loss = ((1 - share) * (lse - own)) + (share * (along + lse - theirMax - Math.Log(theirSum)));
            if (factor is { } f)
            {
                TensorPrimitives.Multiply(z, (float)(f / sum), z);
                TensorPrimitives.MultiplyAdd(t, (float)(-share * f), z, z);
                z[target] -= (float)((1 - share) * f);
            }

            return (loss, atChoice == max);
        });

    private LossSum Sum(int rows, RowLoss row)
    {
        var losses = new double[rows];
        var hits = new bool[rows];
        bench.ForRanges(rows, (begin, end) =>
        {
            var scratch = new float[vocabulary];
            for (var i = begin; i < end; i++)
            {
                (losses[i], hits[i]) = row(i, scratch);
            }
        });
        return new LossSum(losses.Sum(), hits.LongCount(hit => hit), rows);
    }

    /// <summary>exp(z − max) and its sum. Where a logit is no number neither is the sum: so is the loss, and the run stops.</summary>
    private static (float Max, double Sum) Weigh(ReadOnlySpan<float> z, Span<float> weights)
    {
        var max = TensorPrimitives.Max(z);
        if (!float.IsFinite(max))
        {
            return (max, double.NaN);
        }

        Softmax.Weights(z, max, 1, weights);
        return (max, Softmax.Sum(weights));
    }

    private delegate (double Loss, bool Hit) RowLoss(int row, Span<float> scratch);
}
