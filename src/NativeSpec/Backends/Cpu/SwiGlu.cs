using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>y = silu(gate) · up with silu(z) = z / (1 + e^−z) (Shazeer, 2020).</summary>
/// <remarks>gateUp: [rows, 2·width], the gate first; y: [rows, width]. Element by element, so nothing depends on a neighbour.</remarks>
internal static unsafe class SwiGlu
{
    internal struct Arguments
    {
        public float* GateUp;
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
            var gate = a->GateUp + ((nint)row * 2 * a->Width);
            var up = gate + a->Width;
            var y = a->Y + ((nint)row * a->Width);
            var i = 0;
            for (; i + TSimd.Width <= a->Width; i += TSimd.Width)
            {
                TSimd.Store(Gated<TSimd, TVector>(TSimd.Load(gate + i), TSimd.Load(up + i)), y + i);
            }

            for (; i < a->Width; i++)
            {
                y[i] = Gated<SimdScalar, float>(gate[i], up[i]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Gated<TSimd, TVector>(TVector gate, TVector up)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var e = SimdMath.Exp<TSimd, TVector>(TSimd.Subtract(TSimd.Create(0), gate));
        return TSimd.Multiply(TSimd.Divide(gate, TSimd.Add(TSimd.Create(1), e)), up);
    }
}
