using System.Numerics.Tensors;
using System.Runtime.InteropServices;

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

    /// <summary>The largest of the logits; NaN if any of them is.</summary>
    public static float MaxOrNaN(ReadOnlySpan<float> logits) => TensorPrimitives.Max(logits);

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
