using ILGPU;
using ILGPU.Algorithms;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>y = silu(gate) · up with silu(z) = z / (1 + e^−z) (Shazeer, 2020), of a product that has the gate and then up.</summary>
internal static class SwiGlu
{
    /// <summary>An item is a number of a row; the width is that of the result.</summary>
    public static void Run(Index1D index, Loop loop, Finish.Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            a.Y[((long)row * a.Stride) + i] = Silu(a.P.Of(row, i)) * a.P.Of(row, a.Width + i);
        }
    }

    /// <summary>z / (1 + e^−z).</summary>
    public static float Silu(float z) => z / (1f + XMath.Exp(-z));
}
