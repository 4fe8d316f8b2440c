using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>What <see cref="MatMul"/> leaves: a number's partial sums, which whatever comes behind adds on its way, with the bias, and multiplies.</summary>
internal struct PartialSums
{
    public ArrayView<float> Partials; // [segments, rows, outputs]
    public ArrayView<float> Bias;     // [outputs]
    public int HasBias;
    public int Segments;
    public int Rows;
    public int Outputs;
    public float Multiplier;

    /// <summary>One number of the product: the segments from the first to the last, the bias, the multiplier.</summary>
    public readonly float Of(int row, int output)
    {
        var sum = Partials[((long)row * Outputs) + output];
        for (var segment = 1; segment < Segments; segment++)
        {
            sum += Partials[((((long)segment * Rows) + row) * Outputs) + output];
        }

        if (HasBias != 0)
        {
            sum += Bias[output];
        }

        return sum * Multiplier;
    }
}

/// <summary>What becomes of a product where it stays as it is: it is stored, or added to what stands there.</summary>
internal static class Finish
{
    internal struct Arguments
    {
        public PartialSums P;
        public ArrayView<float> Y; // [rows, stride]
        public int Width;
        public int Stride;
        public int Adds; // 0 or 1
    }

    /// <summary>An item is a number of a row.</summary>
    public static void Run(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            var (at, p) = (((long)row * a.Stride) + i, a.P.Of(row, i));
            a.Y[at] = a.Adds != 0 ? a.Y[at] + p : p;
        }
    }
}
