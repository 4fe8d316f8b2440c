using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>How many F32 multiply-adds some threads do per second on registers alone: the other roof of a kernel.</summary>
internal sealed class PeakArithmetic(int threads)
{
    private const int Steps = 1 << 20;
    private const int Chains = 12; // more than latency times throughput of any processor's multiply-add
    private readonly float[] _sinks = new float[threads * 16];

    /// <summary>10⁹ multiply-adds per second.</summary>
    public double Measure()
    {
        var began = Stopwatch.GetTimestamp();
        Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, thread => _sinks[thread * 16] = Multiply());
        return (double)threads * Steps * Chains * Width / Stopwatch.GetElapsedTime(began).TotalSeconds / 1e9;
    }

    private static int Width => Vector512.IsHardwareAccelerated ? Vector512<float>.Count : Vector256<float>.Count;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float Multiply() => Vector512.IsHardwareAccelerated ? Wide() : Narrow();

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Wide()
    {
        var factor = Vector512.Create(0.999f);
        Vector512<float> a = factor, b = factor, c = factor, d = factor, e = factor, f = factor, g = factor, h = factor, i = factor, j = factor, k = factor, l = factor;
        for (var step = 0; step < Steps; step++)
        {
            (a, b, c) = (Vector512.FusedMultiplyAdd(a, factor, factor), Vector512.FusedMultiplyAdd(b, factor, factor), Vector512.FusedMultiplyAdd(c, factor, factor));
            (d, e, f) = (Vector512.FusedMultiplyAdd(d, factor, factor), Vector512.FusedMultiplyAdd(e, factor, factor), Vector512.FusedMultiplyAdd(f, factor, factor));
            (g, h, i) = (Vector512.FusedMultiplyAdd(g, factor, factor), Vector512.FusedMultiplyAdd(h, factor, factor), Vector512.FusedMultiplyAdd(i, factor, factor));
            (j, k, l) = (Vector512.FusedMultiplyAdd(j, factor, factor), Vector512.FusedMultiplyAdd(k, factor, factor), Vector512.FusedMultiplyAdd(l, factor, factor));
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Narrow()
    {
        var factor = Vector256.Create(0.999f);
        Vector256<float> a = factor, b = factor, c = factor, d = factor, e = factor, f = factor, g = factor, h = factor, i = factor, j = factor, k = factor, l = factor;
        for (var step = 0; step < Steps; step++)
        {
            (a, b, c) = (Vector256.FusedMultiplyAdd(a, factor, factor), Vector256.FusedMultiplyAdd(b, factor, factor), Vector256.FusedMultiplyAdd(c, factor, factor));
            (d, e, f) = (Vector256.FusedMultiplyAdd(d, factor, factor), Vector256.FusedMultiplyAdd(e, factor, factor), Vector256.FusedMultiplyAdd(f, factor, factor));
            (g, h, i) = (Vector256.FusedMultiplyAdd(g, factor, factor), Vector256.FusedMultiplyAdd(h, factor, factor), Vector256.FusedMultiplyAdd(i, factor, factor));
            (j, k, l) = (Vector256.FusedMultiplyAdd(j, factor, factor), Vector256.FusedMultiplyAdd(k, factor, factor), Vector256.FusedMultiplyAdd(l, factor, factor));
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
