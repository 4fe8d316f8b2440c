using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>x += silu(y) with silu(z) = z / (1 + e^−z): what a residual block of a Medusa head does with y = A x + b (Cai et al., 2024).</summary>
/// <remarks>x, y: [rows, width]. Element by element, so nothing depends on a neighbour.</remarks>
internal static unsafe class AddSilu
{
    internal struct Arguments
    {
        public float* X;
        public float* Y;
        public int Width;
    }

    /// <summary>Computes rows [begin, end).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TSimd, TVector>(void* arguments, int begin, int end)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        for (var row = begin; row < end; row++)
        {
            var x = a->X + ((nint)row * a->Width);
            var y = a->Y + ((nint)row * a->Width);
            var i = 0;
            for (; i + TSimd.Width <= a->Width; i += TSimd.Width)
            {
                TSimd.Store(Added<TSimd, TVector>(TSimd.Load(x + i), TSimd.Load(y + i)), x + i);
            }

            for (; i < a->Width; i++)
            {
                x[i] = Added<SimdScalar, float>(x[i], y[i]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Added<TSimd, TVector>(TVector x, TVector y)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var e = SimdMath.Exp<TSimd, TVector>(TSimd.Subtract(TSimd.Create(0), y));
        return TSimd.Add(x, TSimd.Divide(y, TSimd.Add(TSimd.Create(1), e)));
    }
}
