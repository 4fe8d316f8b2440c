using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>The largest logit and where it stands.</summary>
internal static class LogitScan
{
    /// <summary>The largest of the logits. The maximum of floats is exact in any order, and it is NaN if any of them is.</summary>
    /// <param name="logits">[vocab]</param>
    /// <param name="position">Absolute position of the token to choose, for the message.</param>
    /// <exception cref="NonFiniteLogitsException">A logit is NaN or +∞, or all are −∞.</exception>
    public static float Max(ReadOnlySpan<float> logits, long position)
    {
        var max = MaxOrNaN(logits);
        return float.IsFinite(max) ? max : throw new NonFiniteLogitsException(position, max);
    }

    /// <summary>The largest of the logits; NaN if any of them is. Of zeros, either.</summary>
    /// <remarks>The library's maximum keeps NaN and the sign of zero right in every step, which takes it two to three times as long (docs/performance.md). Here the plain
    /// maximum runs beside a mask of those that equal themselves, and the last step reads some logits again, which changes no maximum.</remarks>
    public static float MaxOrNaN(ReadOnlySpan<float> logits)
    {
        const int Lanes = 8, Step = 4 * Lanes;
        if (!Vector256.IsHardwareAccelerated || logits.Length < Step)
        {
            return TensorPrimitives.Max(logits);
        }

        var (a, b, c, d) = (Vector256.Create(float.NegativeInfinity), Vector256.Create(float.NegativeInfinity), Vector256.Create(float.NegativeInfinity), Vector256.Create(float.NegativeInfinity));
        var ordered = Vector256<float>.AllBitsSet;
        for (var done = 0; done < logits.Length; done += Step)
        {
            var step = logits.Slice(Math.Min(done, logits.Length - Step), Step);
            var (p, q, r, s) = (Vector256.Create(step), Vector256.Create(step[Lanes..]), Vector256.Create(step[(2 * Lanes)..]), Vector256.Create(step[(3 * Lanes)..]));
            (a, b, c, d) = (Vector256.MaxNative(a, p), Vector256.MaxNative(b, q), Vector256.MaxNative(c, r), Vector256.MaxNative(d, s));
            ordered &= Vector256.Equals(p, p) & Vector256.Equals(q, q) & Vector256.Equals(r, r) & Vector256.Equals(s, s);
        }

        if (Vector256.ExtractMostSignificantBits(ordered) != (1 << Lanes) - 1)
        {
            return float.NaN;
        }

        Span<float> lanes = stackalloc float[Lanes];
        Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d)).CopyTo(lanes);
        var max = lanes[0];
        foreach (var lane in lanes[1..])
        {
            max = Math.Max(max, lane);
        }

        return max;
    }

    /// <summary>The largest logit of each block of <see cref="NoiseScan.BlockLength"/>; NaN where any of them is.</summary>
    /// <param name="logits">[vocab]</param>
    /// <param name="maxima">[blocks]</param>
    public static void BlockMaxima(ReadOnlySpan<float> logits, Span<float> maxima)
    {
        for (var block = 0; block < maxima.Length; block++)
        {
            var start = block * NoiseScan.BlockLength;
            maxima[block] = MaxOrNaN(logits.Slice(start, Math.Min(NoiseScan.BlockLength, logits.Length - start)));
        }
    }

    /// <summary>The lowest index that holds <paramref name="max"/>.</summary>
    /// <remarks>The search compares bit patterns, which the runtime does in wide vectors; only zero has two of them.</remarks>
    public static int IndexOf(ReadOnlySpan<float> logits, float max)
    {
        var bits = MemoryMarshal.Cast<float, int>(logits);
        return max == 0 ? bits.IndexOfAny(0, int.MinValue) : bits.IndexOf(BitConverter.SingleToInt32Bits(max));
    }
}
