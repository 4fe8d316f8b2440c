using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Training.Compute;

/// <summary>A row of attention's softmax and of its gradient, each in as few passes over the row as the sum in it allows. Rows are as long as
/// <see cref="Pad"/> says.</summary>
internal static unsafe class SoftmaxKernels
{
    private const int Block = 32; // two of the widest vectors, so that no loop has a rest

    /// <summary>The least length of a row that holds so many scores.</summary>
    public static int Pad(int length) => (length + Block - 1) / Block * Block;

    /// <summary>s_j becomes e_j = exp(scale·(s_j − max s)) for the first <paramref name="seen"/> scores, 0 behind them.</summary>
    /// <param name="s">[length]</param>
    /// <param name="seen">How many scores count, at least one.</param>
    /// <param name="scale">Of the scores, above 0.</param>
    /// <param name="length">Length of the row.</param>
    /// <returns>ln Σ exp(scale·s_j), and Σ e_j.</returns>
    public static (float LogSum, float Sum) Forward(float* s, int seen, float scale, int length)
    {
        Debug.Assert(length % Block == 0 && seen > 0 && seen <= length, "rows are padded");
        return Vector512.IsHardwareAccelerated ? Forward<Simd512, Vector512<float>>(s, seen, scale, length)
            : Vector256.IsHardwareAccelerated ? Forward<Simd256, Vector256<float>>(s, seen, scale, length)
            : Forward<Simd128, Vector128<float>>(s, seen, scale, length);
    }

    /// <summary>s_j becomes p_j = exp(scale·s_j − logSum), and dp_j becomes ds_j = scale · p_j (dp_j − along), for the first
    /// <paramref name="seen"/> of them; both 0 behind.</summary>
    public static void Backward(float* s, float* dp, float logSum, float along, int seen, float scale, int length)
    {
        Debug.Assert(length % Block == 0 && seen > 0 && seen <= length, "rows are padded");
        if (Vector512.IsHardwareAccelerated)
        {
            Backward<Simd512, Vector512<float>>(s, dp, logSum, along, seen, scale);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Backward<Simd256, Vector256<float>>(s, dp, logSum, along, seen, scale);
        }
        else
        {
            Backward<Simd128, Vector128<float>>(s, dp, logSum, along, seen, scale);
        }

        new Span<float>(s + seen, length - seen).Clear();
        new Span<float>(dp + seen, length - seen).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (float LogSum, float Sum) Forward<TSimd, TVector>(float* s, int seen, float scale, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var end = Pad(seen);
        new Span<float>(s + seen, end - seen).Fill(float.MinValue); // whose exponential is too small to count in the sum
        TVector max0 = TSimd.Load(s), max1 = max0;
        for (var j = 0; j < end; j += 2 * TSimd.Width)
        {
            max0 = TSimd.Max(TSimd.Load(s + j), max0);
            max1 = TSimd.Max(TSimd.Load(s + j + TSimd.Width), max1);
        }

        var lanes = stackalloc float[TSimd.Width];
        TSimd.Store(TSimd.Max(max0, max1), lanes);
        var max = lanes[0];
        for (var lane = 1; lane < TSimd.Width; lane++)
        {
            max = MathF.Max(max, lanes[lane]);
        }

        TVector factor = TSimd.Create(scale), shift = TSimd.Create(-max * scale);
        TVector sum0 = TSimd.Create(0), sum1 = sum0;
        for (var j = 0; j < end; j += 2 * TSimd.Width)
        {
            var e0 = SimdMath.Exp<TSimd, TVector>(TSimd.MultiplyAdd(TSimd.Load(s + j), factor, shift));
            var e1 = SimdMath.Exp<TSimd, TVector>(TSimd.MultiplyAdd(TSimd.Load(s + j + TSimd.Width), factor, shift));
            sum0 = TSimd.Add(sum0, e0);
            sum1 = TSimd.Add(sum1, e1);
            TSimd.Store(e0, s + j);
            TSimd.Store(e1, s + j + TSimd.Width);
        }

        new Span<float>(s + seen, length - seen).Clear();
        var sum = TSimd.Sum(TSimd.Add(sum0, sum1));
        return ((max * scale) + MathF.Log(sum), sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward<TSimd, TVector>(float* s, float* dp, float logSum, float along, int seen, float scale)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        TVector factor = TSimd.Create(scale), shift = TSimd.Create(-logSum), mean = TSimd.Create(along);
        for (var j = 0; j < seen; j += TSimd.Width)
        {
            var p = SimdMath.Exp<TSimd, TVector>(TSimd.MultiplyAdd(TSimd.Load(s + j), factor, shift));
            TSimd.Store(p, s + j);
            TSimd.Store(TSimd.Multiply(TSimd.Multiply(p, factor), TSimd.Subtract(TSimd.Load(dp + j), mean)), dp + j);
        }
    }
}
