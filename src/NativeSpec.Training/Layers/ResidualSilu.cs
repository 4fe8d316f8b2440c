using System.Numerics.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>y = x + silu(z), what a Medusa head's block ends with. With dy = ∂loss/∂y: dx = dy, dz = dy · silu'(z).</summary>
/// <remarks>x, y, z: [rows, width].</remarks>
internal sealed class ResidualSilu(Workbench bench)
{
    public void Forward(Matrix x, Matrix z, Matrix y, int rows) => bench.ForRanges(rows, (begin, end) =>
    {
        for (var row = begin; row < end; row++)
        {
            TensorPrimitives.Sigmoid(z.Row(row), y.Row(row));
            TensorPrimitives.MultiplyAdd(z.Row(row), y.Row(row), x.Row(row), y.Row(row));
        }
    });

    /// <summary>dz; dx is dy itself.</summary>
    public void Backward(Matrix z, Matrix dy, Matrix dz, int rows) => bench.ForRanges(rows, (begin, end) =>
    {
        Span<float> sigmoid = new float[z.Columns];
        for (var row = begin; row < end; row++)
        {
            TensorPrimitives.Sigmoid(z.Row(row), sigmoid);
            Silu.Slope(z.Row(row), sigmoid, dz.Row(row));
            TensorPrimitives.Multiply(dz.Row(row), dy.Row(row), dz.Row(row));
        }
    });
}
