using System.Runtime.Intrinsics;

namespace NativeSpec.Backends.Cpu;

/// <summary>The vector widths of the managed kernels. Results agree bit for bit within a level and within a tolerance across levels.</summary>
internal enum SimdLevel
{
    /// <summary>One float at a time: the version that explains the others, and the only one where the hardware has no vectors.</summary>
    Scalar = 32,
    /// <summary>4 floats: SSE, NEON.</summary>
    Vector128 = 128,
    /// <summary>8 floats: AVX2.</summary>
    Vector256 = 256,
    /// <summary>16 floats: AVX-512.</summary>
    Vector512 = 512,
}

/// <summary>What this machine can run.</summary>
internal static class SimdLevels
{
    /// <summary>The widest level this machine runs.</summary>
    public static SimdLevel Best =>
        Vector512.IsHardwareAccelerated ? SimdLevel.Vector512
        : Vector256.IsHardwareAccelerated ? SimdLevel.Vector256
        : Vector128.IsHardwareAccelerated ? SimdLevel.Vector128
        : SimdLevel.Scalar;

    /// <summary>Every level this machine runs, narrowest first.</summary>
    public static IEnumerable<SimdLevel> Available => Enum.GetValues<SimdLevel>().Where(level => level <= Best);
}
