using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>The CUDA driver that runs the kernels on the emulator (native/cuda_driver). The back end takes it as it takes any driver library; what a test asks of it beyond that
/// has functions of its own. Which library it is, and where there need not be one, is said beside: <c>EmulatedDriver.cs</c>, or where the tests run on any device another part of this class.</summary>
internal static unsafe partial class CudaEmulator
{
    private static readonly Lazy<nint> Library = new(() => NativeLibrary.Load(Path!));

    /// <summary>Whether it is the emulated driver, and none of a real device.</summary>
    public static bool IsEmulated => NativeLibrary.TryGetExport(Library.Value, "nativespecCudaCount", out _);

    /// <summary>Skips a test that counts calls, or asks for what a real device does otherwise.</summary>
    public static void RequireEmulated()
    {
        Require();
        if (!IsEmulated)
        {
            Assert.Ignore("this takes the emulated driver, which counts calls and has settings");
        }
    }

    /// <summary>Skips a test of heads wider than 64 where a block of the device has too little shared memory for them.</summary>
    public static void RequireWideHeads(KvFormat kv)
    {
        Require();
        if (CudaDevice.Find(0, out _) is { } device && CudaLayout.AttentionBytes(128, kv) > device.BlockSharedBytes)
        {
            Assert.Ignore($"a block of this device has {device.BlockSharedBytes} bytes of shared memory; attention over such heads takes {CudaLayout.AttentionBytes(128, kv)}");
        }
    }

    /// <summary>The back end on the driver.</summary>
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

    /// <summary>A counter of native/cuda_driver/report.cpp; 0 where the driver is a real one.</summary>
    public static long Count(string name)
    {
        if (!IsEmulated)
        {
            return 0;
        }

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

    /// <summary>The threads of a block that a kernel was compiled for; the context of its module is current.</summary>
    public static int MostThreads(CudaKernel kernel)
    {
        var ask = (delegate* unmanaged<int*, int, nint, int>)NativeLibrary.GetExport(Library.Value, "cuFuncGetAttribute");
        int threads;
        Assert.That(ask(&threads, 0, kernel.Function), Is.Zero, kernel.Name);
        return threads;
    }

    /// <summary>Forgets what went wrong, where a test has told of it.</summary>
    public static void ForgetProblems() => ((delegate* unmanaged<void>)NativeLibrary.GetExport(Library.Value, "nativespecCudaForgetProblems"))();

    /// <summary>What went wrong that no code told: leaks, writes past an allocation, … A real driver does not say.</summary>
    public static string Problems()
    {
        if (!IsEmulated)
        {
            return "";
        }

        var problems = (delegate* unmanaged<byte*, int, int>)NativeLibrary.GetExport(Library.Value, "nativespecCudaProblems");
        var text = new byte[4096];
        fixed (byte* t = text)
        {
            return problems(t, text.Length) == 0 ? "" : Encoding.UTF8.GetString(text).TrimEnd('\0');
        }
    }
}
