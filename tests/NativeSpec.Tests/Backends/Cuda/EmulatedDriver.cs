namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Here it is the emulated driver, where native/test.sh has built it.</summary>
internal static unsafe partial class CudaEmulator
{
    /// <summary>The library, which need not be there: the file that NATIVESPEC_TEST_EMULATOR names, as build.sh does for the one with sanitizers, or else the one that native/test.sh has left.</summary>
    public static string Path { get; } = Environment.GetEnvironmentVariable("NATIVESPEC_TEST_EMULATOR") ?? System.IO.Path.Combine(Repository.Root, "artifacts", "cuda-emulator", "libcuda.so.1");

    public static bool IsBuilt { get; } = File.Exists(Path) && !TestBackend.AreOnlyBest;

    /// <summary>Skips a test where the emulated driver was not built.</summary>
    public static void Require()
    {
        if (!IsBuilt && TestBackend.AreOnlyBest)
        {
            Assert.Ignore("tested with all instructions");
        }

        if (!IsBuilt)
        {
            Assert.Ignore("the emulated CUDA driver is not built: native/test.sh build makes artifacts/cuda-emulator, on x86-64 with a C++ compiler");
        }
    }
}
