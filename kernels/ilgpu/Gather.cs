using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>y[i] = x[rows[i]].</summary>
internal static class Gather
{
    internal struct Arguments
    {
        public ArrayView<float> X;  // [rows of the batch, stride]
        public ArrayView<int> Rows; // [rows wanted]
        public ArrayView<float> Y;  // [rows wanted, stride]
        public int Width;
        public int Stride;
    }

    /// <summary>An item is a number of a row.</summary>
    public static void Run(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            a.Y[((long)row * a.Stride) + i] = a.X[((long)a.Rows[row] * a.Stride) + i];
        }
    }
}
