using System.Numerics.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>y = x · r · gain with r = 1 / sqrt(mean(x²) + eps), row by row (Zhang and Sennrich, 2019). Its gradient, with n the width:
/// <code>
/// dgain = Σ_rows dy · x · r
/// dx    = r · (gain · dy) − x · r³ / n · Σ_i gain_i dy_i x_i
/// </code></summary>
/// <remarks>x, y: [rows, n]. The sum over rows is taken in blocks of fixed size, then block by block, so that threads do not change it.</remarks>
internal sealed class RmsNorm(Workbench bench, Parameter gain, float eps)
{
    private const int Block = 32;

    public void Forward(Matrix x, Matrix y, int rows) => bench.ForRanges(rows, (begin, end) => Forward(x, y, begin, end));

    /// <summary>Rows [begin, end) alone.</summary>
    public void Forward(Matrix x, Matrix y, int begin, int end)
    {
        for (var row = begin; row < end; row++)
        {
            TensorPrimitives.Multiply(x.Row(row), Scale(x.Row(row)), y.Row(row));
            TensorPrimitives.Multiply(y.Row(row), gain.Value.All, y.Row(row));
        }
    }

    /// <summary>Adds to <paramref name="dx"/>, which already holds the gradient that passes the norm by.</summary>
    public void Backward(Matrix x, Matrix dy, Matrix dx, int rows)
    {
        var width = x.Columns;
        var blocks = (rows + Block - 1) / Block;
        var partial = bench.Scratch("norm gradient", blocks, width);
        bench.ForRanges(blocks, (begin, end) =>
        {
            Span<float> scaled = new float[width];
            for (var block = begin; block < end; block++)
            {
                partial.Row(block).Clear();
                for (var row = block * Block; row < Math.Min((block + 1) * Block, rows); row++)
                {
                    AddRow(x.Row(row), dy.Row(row), dx.Row(row), partial.Row(block), scaled);
                }
            }
        });
        for (var block = 0; block < blocks; block++)
        {
            TensorPrimitives.Add(gain.Gradient.All, partial.Row(block), gain.Gradient.All);
        }
    }

    private void AddRow(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx, Span<float> gainGradient, Span<float> scaled)
    {
        var r = Scale(x);
        TensorPrimitives.Multiply(x, dy, scaled);
        TensorPrimitives.MultiplyAdd(scaled, r, gainGradient, gainGradient);
        TensorPrimitives.Multiply(dy, gain.Value.All, scaled);
        var along = TensorPrimitives.Dot<float>(scaled, x);
        TensorPrimitives.MultiplyAdd(scaled, r, dx, dx);
        TensorPrimitives.MultiplyAdd(x, -along * r * r * r / x.Length, dx, dx);
    }

    private float Scale(ReadOnlySpan<float> x) => 1 / MathF.Sqrt((TensorPrimitives.SumOfSquares(x) / x.Length) + eps);
}
