using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>A logit and its id as one whole number, whose order is that of the logits and, among equals, the lower id first. So the highest of many is the same in
/// whatever order they are looked at.</summary>
internal static class Rank
{
    /// <summary>Greater for a higher value, then for a lower id; the two zeros are equal. What is not a number is below everything, and never 0.</summary>
    public static ulong Of(float value, int id)
    {
        var bits = Interop.FloatAsInt(value);
        bits = bits == 0x80000000u ? 0u : bits;
        var order = Bits.IsNaN(value) ? 0u : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
        return ((ulong)order << 32) | (uint)~id;
    }

    /// <summary>The id of a rank.</summary>
    public static int IdOf(ulong rank) => ~(int)(uint)rank;
}
