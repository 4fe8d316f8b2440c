using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Training.Compute;

/// <summary>A row of attention's softmax and of its gradient, each in as few passes over the row as the sum in it allows. Rows are as long as
/// those of <see cref="RowKernels"/>.</summary>
internal static unsafe class SoftmaxKernels
{
    /// <summary>p_j = exp(scale·(s_j − max s)) / Σ_m exp(scale·(s_m − max s)) for the first <paramref name="seen"/> scores, 0 behind them.</summary>
    /// <param name="scores">[length]; overwritten behind what is seen.</param>
    /// <param name="seen">How many scores count, at least one.</param>
    /// <param name="scale">Of the scores, above 0.</param>
    /// <param name="p">[length]</param>
    /// <param name="length">Length of the row.</param>
    public static void Forward(float* scores, int seen, float scale, float* p, int length)
    {
        Debug.Assert(length % RowKernels.Block == 0 && seen > 0 && seen <= length, "rows are padded");
        if (Vector512.IsHardwareAccelerated)
        {
            Forward<Simd512, Vector512<float>>(scores, seen, scale, p, length);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Forward<Simd256, Vector256<float>>(scores, seen, scale, p, length);
        }
        else
        {
            Forward<Simd128, Vector128<float>>(scores, seen, scale, p, length);
        }
    }

    /// <summary>ds_j = scale · p_j (dp_j − Σ_m p_m dp_m), in place of dp; 0 where p is.</summary>
    public static void Backward(float* p, float scale, float* ds, int length)
    {
        Debug.Assert(length % RowKernels.Block == 0, "rows are padded");
        if (Vector512.IsHardwareAccelerated)
        {
            Backward<Simd512, Vector512<float>>(p, scale, ds, length);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Backward<Simd256, Vector256<float>>(p, scale, ds, length);
        }
        else
        {
            Backward<Simd128, Vector128<float>>(p, scale, ds, length);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Forward<TSimd, TVector>(float* scores, int seen, float scale, float* p, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        // The last score that counts stands in for those that do not, so that the vectors' maximum is that of the row.
        new Span<float>(scores + seen, length - seen).Fill(scores[seen - 1]);
        TVector max0 = TSimd.Load(scores), max1 = max0;
        for (var j = 0; j < length; j += 2 * TSimd.Width)
        {
            max0 = TSimd.Max(TSimd.Load(scores + j), max0);
            max1 = TSimd.Max(TSimd.Load(scores + j + TSimd.Width), max1);
        }

        var lanes = stackalloc float[TSimd.Width];
        TSimd.Store(TSimd.Max(max0, max1), lanes);
        var max = lanes[0];
        for (var lane = 1; lane < TSimd.Width; lane++)
        {
            max = MathF.Max(max, lanes[lane]);
        }

        TVector factor = TSimd.Create(scale), shift = TSimd.Create(-max * scale);
        for (var j = 0; j < length; j += TSimd.Width)
        {
            TSimd.Store(SimdMath.Exp<TSimd, TVector>(TSimd.MultiplyAdd(TSimd.Load(scores + j), factor, shift)), p + j);
        }

        new Span<float>(p + seen, length - seen).Clear();
        TVector sum0 = TSimd.Create(0), sum1 = sum0;
        for (var j = 0; j < length; j += 2 * TSimd.Width)
        {
            sum0 = TSimd.Add(sum0, TSimd.Load(p + j));
            sum1 = TSimd.Add(sum1, TSimd.Load(p + j + TSimd.Width));
        }

        var share = TSimd.Create(1 / TSimd.Sum(TSimd.Add(sum0, sum1)));
        for (var j = 0; j < length; j += TSimd.Width)
        {
            TSimd.Store(TSimd.Multiply(TSimd.Load(p + j), share), p + j);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward<TSimd, TVector>(float* p, float scale, float* ds, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        TVector sum0 = TSimd.Create(0), sum1 = sum0;
        for (var j = 0; j < length; j += 2 * TSimd.Width)
        {
            sum0 = TSimd.MultiplyAdd(TSimd.Load(p + j), TSimd.Load(ds + j), sum0);
            sum1 = TSimd.MultiplyAdd(TSimd.Load(p + j + TSimd.Width), TSimd.Load(ds + j + TSimd.Width), sum1);
        }

        TVector along = TSimd.Create(TSimd.Sum(TSimd.Add(sum0, sum1))), factor = TSimd.Create(scale);
        for (var j = 0; j < length; j += TSimd.Width)
        {
            var slope = TSimd.Multiply(TSimd.Load(p + j), factor);
            TSimd.Store(TSimd.Multiply(TSimd.Subtract(TSimd.Load(ds + j), along), slope), ds + j);
        }
    }
}
