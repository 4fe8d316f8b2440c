using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>y += silu(p) of a product p: the residual block of a Medusa head (Cai et al., 2024).</summary>
internal static class AddSilu
{
    /// <summary>An item is a number of a row.</summary>
    public static void Run(Index1D index, Loop loop, Finish.Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            a.Y[((long)row * a.Stride) + i] += SwiGlu.Silu(a.P.Of(row, i));
        }
    }
}
