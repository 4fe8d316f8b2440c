using ILGPU;
using ILGPU.Algorithms;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>y[i] = x[i] / sqrt(mean(x²) + eps) · gain[i], row by row (Zhang and Sennrich, 2019), in two steps: <see cref="Slices"/> sums of squares a row, each of every
/// <see cref="Slices"/>-th number, then every number of the result, for which these are added in order.</summary>
internal static class RmsNorm
{
    /// <summary>Sums of a row.</summary>
    public const int Slices = 32;

    internal struct Arguments
    {
        public ArrayView<float> X;       // [rows, stride]
        public ArrayView<float> Squares; // [rows, slices]
        public ArrayView<float> Gain;    // [width]
        public ArrayView<float> Y;       // [rows, stride]
        public int Width;
        public int Stride;
        public float Epsilon;
    }

    internal struct HeadArguments
    {
        public ArrayView<float> X;    // [rows, stride]
        public ArrayView<float> Gain; // [headDim]
        public int First;             // column of the first head
        public int Heads;
        public int HeadDim;
        public int Stride;
        public float Epsilon;
    }

    /// <summary>An item is a slice of a row.</summary>
    public static void SumSquares(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var row = (long)(item / Slices) * a.Stride;
            var sum = 0f;
            for (var i = item % Slices; i < a.Width; i += Slices)
            {
                sum += a.X[row + i] * a.X[row + i];
            }

            a.Squares[item] = sum;
        }
    }

    /// <summary>An item is a number of a row.</summary>
    public static void Scale(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            var sum = 0f;
            for (var slice = 0; slice < Slices; slice++)
            {
                sum += a.Squares[(row * Slices) + slice];
            }

            var at = ((long)row * a.Stride) + i;
            a.Y[at] = a.X[at] * (1f / XMath.Sqrt((sum / a.Width) + a.Epsilon)) * a.Gain[i];
        }
    }

    /// <summary>Norms heads in place: each is a row of its own, short enough for one thread. An item is a head of a row.</summary>
    public static void Heads(Index1D index, Loop loop, HeadArguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var head = ((long)(item / a.Heads) * a.Stride) + a.First + ((item % a.Heads) * a.HeadDim);
            var sum = 0f;
            for (var i = 0; i < a.HeadDim; i++)
            {
                sum += a.X[head + i] * a.X[head + i];
            }

            var scale = 1f / XMath.Sqrt((sum / a.HeadDim) + a.Epsilon);
            for (var i = 0; i < a.HeadDim; i++)
            {
                a.X[head + i] = a.X[head + i] * scale * a.Gain[i];
            }
        }
    }
}
