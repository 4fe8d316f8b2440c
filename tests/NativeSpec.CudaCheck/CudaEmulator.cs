using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Here it is whatever driver the program was given or the machine has, and there is one, or the program would have ended.</summary>
internal static unsafe partial class CudaEmulator
{
    /// <summary>The library.</summary>
    public static string Path { get; } = Environment.GetEnvironmentVariable(CudaLibrary.PathVariable) ?? "libcuda.so.1";

    public static bool IsBuilt => true;

    public static void Require()
    {
    }
}
