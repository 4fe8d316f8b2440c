using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>How a kernel's items are dealt to its threads: thread t computes items t, t + <see cref="Stride"/>, t + 2·<see cref="Stride"/>, … A graphics device
/// has a thread for every item; the processor has few threads, each of which costs more than an item.</summary>
/// <remarks>Kernels here have no barrier and no shared memory. An item is computed by one thread from its first addition to its last, so how items are dealt, and
/// how threads are grouped, changes no bit.</remarks>
internal struct Loop
{
    /// <summary>Items of the launch.</summary>
    public int Items;

    /// <summary>Threads of the launch.</summary>
    public int Stride;
}

/// <summary>Sixteen bytes, which a device reads at once.</summary>
internal struct Word4
{
    public uint X;
    public uint Y;
    public uint Z;
    public uint W;
}

/// <summary>Four floats, which a device reads at once.</summary>
internal struct Float4
{
    public float X;
    public float Y;
    public float Z;
    public float W;
}

/// <summary>Eight weights of neighbouring columns.</summary>
internal struct Float8
{
    public Float4 Low;
    public Float4 High;
}

/// <summary>Numbers from their bits.</summary>
internal static class Bits
{
    /// <summary>A binary16. Its subnormal numbers are made of whole numbers, because a device may flush those of binary32.</summary>
    public static float Half(uint bits)
    {
        var (magnitude, sign) = (bits & 0x7FFF, (bits & 0x8000) << 16);
        var exponent = magnitude >> 10;
        var value = exponent == 0
            ? (float)(int)magnitude * 5.9604644775390625e-8f // 2^-24
            : Interop.IntAsFloat((magnitude << 13) + (exponent == 31 ? 0x70000000u : 0x38000000u)); // exponents 31 to 255, others by 112 more
        return Interop.IntAsFloat(Interop.FloatAsInt(value) | sign);
    }

    /// <summary>A bfloat16.</summary>
    public static float BFloat16(uint bits) => Interop.IntAsFloat(bits << 16);

    /// <summary>To the nearest bfloat16, ties to even; what is not a number stays so.</summary>
    public static uint ToBFloat16(float value)
    {
        var bits = Interop.FloatAsInt(value);
        return IsNaN(value) ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }

    /// <summary>Whether a float is not a number, told by its bits.</summary>
    public static bool IsNaN(float value) => (Interop.FloatAsInt(value) & 0x7FFFFFFF) > 0x7F800000;
}
