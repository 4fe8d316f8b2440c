using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Backends.Cuda;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>The CUDA driver that runs the kernels on the emulator (native/cuda_driver), where native/test.sh has built it. The back end takes it as it takes any
/// driver library; what a test asks of it beyond that has functions of its own.</summary>
internal static unsafe class CudaEmulator
{
    private static readonly Lazy<nint> Library = new(() => NativeLibrary.Load(Path!));

    /// <summary>The library, which need not be there.</summary>
    public static string Path { get; } = System.IO.Path.Combine(Repository.Root, "artifacts", "cuda-emulator", "libcuda.so.1");

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

    /// <summary>The back end on the emulated driver.</summary>
    public static CudaBackend Create(CudaOptions? options = null)
    {
        Require();
        return CudaBackend.TryCreate((options ?? new CudaOptions()) with { Device = options?.Device ?? 0 }, out var reason) ?? throw new InvalidOperationException(reason);
    }

    /// <summary>Changes a setting of native/cuda_driver/settings.h.</summary>
    public static void Set(string name, string value)
    {
        var configure = (delegate* unmanaged<byte*, byte*, int>)NativeLibrary.GetExport(Library.Value, "nativespecCudaConfigure");
        fixed (byte* n = Encoding.UTF8.GetBytes(name + "\0"), v = Encoding.UTF8.GetBytes(value + "\0"))
        {
            Assert.That(configure(n, v), Is.EqualTo(1), $"{name}={value}");
        }
    }

    /// <summary>A counter of native/cuda_driver/report.cpp.</summary>
    public static long Count(string name)
    {
        var count = (delegate* unmanaged<byte*, long>)NativeLibrary.GetExport(Library.Value, "nativespecCudaCount");
        fixed (byte* n = Encoding.UTF8.GetBytes(name + "\0"))
        {
            return count(n);
        }
    }

    /// <summary>What the kernels' headers say of sizes and launches: a question of native/cuda_driver/launch_shapes.cpp.</summary>
    public static long[] LaunchShape(string question, params ReadOnlySpan<int> numbers)
    {
        const int Most = 8;
        var ask = (delegate* unmanaged<byte*, int*, long*, int>)NativeLibrary.GetExport(Library.Value, "nativespecCudaLaunchShape");
        var answers = stackalloc long[Most];
        fixed (byte* q = Encoding.UTF8.GetBytes(question + "\0"))
        fixed (int* n = numbers)
        {
            return new ReadOnlySpan<long>(answers, ask(q, n, answers)).ToArray();
        }
    }

    /// <summary>What went wrong that no code told: leaks, writes past an allocation, …</summary>
    public static string Problems()
    {
        var problems = (delegate* unmanaged<byte*, int, int>)NativeLibrary.GetExport(Library.Value, "nativespecCudaProblems");
        var text = new byte[4096];
        fixed (byte* t = text)
        {
            return problems(t, text.Length) == 0 ? "" : Encoding.UTF8.GetString(text).TrimEnd('\0');
        }
    }
}
