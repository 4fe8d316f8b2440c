using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Training.Compute;

/// <summary>A row of SwiGLU and of its gradient in one pass; the formulas stand at <see cref="Layers.SwiGlu"/>.</summary>
internal static unsafe class SwiGluKernels
{
    /// <summary>y = silu(gate) · up.</summary>
    public static void Forward(float* gate, float* up, float* y, int length)
    {
        var i = Vector512.IsHardwareAccelerated ? Forward<Simd512, Vector512<float>>(gate, up, y, 0, length)
            : Vector256.IsHardwareAccelerated ? Forward<Simd256, Vector256<float>>(gate, up, y, 0, length)
            : Forward<Simd128, Vector128<float>>(gate, up, y, 0, length);
        Forward<SimdScalar, float>(gate, up, y, i, length);
    }

    /// <summary>dGate and dUp from dy.</summary>
    public static void Backward(float* gate, float* up, float* dy, float* dGate, float* dUp, int length)
    {
        var i = Vector512.IsHardwareAccelerated ? Backward<Simd512, Vector512<float>>(gate, up, dy, dGate, dUp, 0, length)
            : Vector256.IsHardwareAccelerated ? Backward<Simd256, Vector256<float>>(gate, up, dy, dGate, dUp, 0, length)
            : Backward<Simd128, Vector128<float>>(gate, up, dy, dGate, dUp, 0, length);
        Backward<SimdScalar, float>(gate, up, dy, dGate, dUp, i, length);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Forward<TSimd, TVector>(float* gate, float* up, float* y, int first, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var i = first;
        for (; i <= length - TSimd.Width; i += TSimd.Width)
        {
            var g = TSimd.Load(gate + i);
            var silu = TSimd.Multiply(g, Sigmoid<TSimd, TVector>(g));
            TSimd.Store(TSimd.Multiply(silu, TSimd.Load(up + i)), y + i);
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Backward<TSimd, TVector>(float* gate, float* up, float* dy, float* dGate, float* dUp, int first, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var one = TSimd.Create(1);
        var i = first;
        for (; i <= length - TSimd.Width; i += TSimd.Width)
        {
            TVector g = TSimd.Load(gate + i), u = TSimd.Load(up + i), d = TSimd.Load(dy + i);
            var sigmoid = Sigmoid<TSimd, TVector>(g);
            var slope = TSimd.Multiply(sigmoid, TSimd.MultiplyAdd(g, TSimd.Subtract(one, sigmoid), one));
            TSimd.Store(TSimd.Multiply(TSimd.Multiply(d, u), slope), dGate + i);
            TSimd.Store(TSimd.Multiply(d, TSimd.Multiply(g, sigmoid)), dUp + i);
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Sigmoid<TSimd, TVector>(TVector z)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var one = TSimd.Create(1);
        return TSimd.Divide(one, TSimd.Add(one, SimdMath.Exp<TSimd, TVector>(TSimd.Subtract(TSimd.Create(0), z))));
    }
}
