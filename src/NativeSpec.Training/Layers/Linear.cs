using System.Numerics.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>y = x Wᵀ + b. With dy = ∂loss/∂y: dx = dy W, dW = dyᵀ x, db = Σ_rows dy.</summary>
/// <remarks>x: [rows, in]; W: [out, in]; y: [rows, out].</remarks>
internal sealed class Linear(Workbench bench, Parameter weight, Parameter? bias = null)
{
    /// <summary>W, which tied layers share.</summary>
    public Parameter Weight => weight;

    /// <summary>Computes y, or addend + y.</summary>
    /// <param name="x">[rows, in]</param>
    /// <param name="y">[rows, out]</param>
    /// <param name="rows">Of the batch.</param>
    /// <param name="addend">[rows, out]</param>
    /// <param name="then">Called for ranges [begin, end) of rows of y once they are done, while they are in a cache.</param>
    public void Forward(Matrix x, Matrix y, int rows, Matrix? addend = null, Action<int, int>? then = null)
        => bench.Multiply(x, weight.Value, y, rows, addend, bias is null ? then : (begin, end) =>
        {
            for (var row = begin; row < end; row++)
            {
                TensorPrimitives.Add(y.Row(row), bias.Value.All, y.Row(row));
            }

            then?.Invoke(begin, end);
        });

    /// <summary>Adds to the gradients of the parameters and computes dx, or adds to it; no dx where it is null.</summary>
    /// <param name="x">[rows, in]</param>
    /// <param name="dy">[rows, out]</param>
    /// <param name="dx">[rows, in]</param>
    /// <param name="rows">Of the batch.</param>
    /// <param name="accumulate">Whether dx is added to.</param>
    /// <param name="then">Called for ranges of rows of dx, as in the forward.</param>
    public void Backward(Matrix x, Matrix dy, Matrix? dx, int rows, bool accumulate = false, Action<int, int>? then = null)
    {
        if (dx is not null)
        {
            bench.MultiplyBack(dy, weight.Value, dx, rows, accumulate, then);
        }

        if (weight.LearningRateFactor == 0)
        {
            return;
        }

        bench.AddOuter(dy, x, weight.Gradient, rows);
        if (bias is not null)
        {
            // Threads share it by columns, so that each sum has one order.
            bench.ForRanges(dy.Columns, (begin, end) =>
            {
                var gradient = bias.Gradient.All[begin..end];
                for (var row = 0; row < rows; row++)
                {
                    TensorPrimitives.Add(gradient, dy.Row(row)[begin..end], gradient);
                }
            });
        }
    }
}
