using System.Numerics.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>y = x Wᵀ + b. With dy = ∂loss/∂y: dx = dy W, dW = dyᵀ x, db = Σ_rows dy.</summary>
/// <remarks>x: [rows, in]; W: [out, in]; y: [rows, out]. The backend multiplies with the transpose of a matrix, so dx takes Wᵀ as its weight,
/// and dW takes xᵀ: two small copies for two large matmuls.</remarks>
internal sealed class Linear(Workbench bench, Parameter weight, Parameter? bias = null)
{
    /// <summary>W, which tied layers share.</summary>
    public Parameter Weight => weight;

    /// <summary>Computes y, or adds to it.</summary>
    public void Forward(Matrix x, Matrix y, int rows, bool accumulate = false)
    {
        bench.MatMul(x, weight.Value, y, rows, accumulate);
        if (bias is not null)
        {
            bench.ForRanges(rows, (begin, end) =>
            {
                for (var row = begin; row < end; row++)
                {
                    TensorPrimitives.Add(y.Row(row), bias.Value.All, y.Row(row));
                }
            });
        }
    }

    /// <summary>Adds to the gradients of the parameters and computes dx, or adds to it; no dx where it is null.</summary>
    public void Backward(Matrix x, Matrix dy, Matrix? dx, int rows, bool accumulate = false)
    {
        if (dx is not null)
        {
            var byInput = bench.Transposed(weight.Value, weight.Value.Rows, "weight, transposed");
            bench.MatMul(dy, byInput, dx, rows, accumulate);
        }

        if (weight.LearningRateFactor == 0)
        {
            return;
        }

        var xByColumn = bench.Transposed(x, rows, "input, transposed");
        var dyByColumn = bench.Transposed(dy, rows, "gradient, transposed");
        bench.MatMul(dyByColumn, xByColumn, weight.Gradient, dy.Columns, accumulate: true);
        if (bias is not null)
        {
            var gradient = bias.Gradient.All;
            for (var column = 0; column < gradient.Length; column++)
            {
                gradient[column] += TensorPrimitives.Sum<float>(dyByColumn.Row(column));
            }
        }
    }
}
