using System.Runtime.InteropServices;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>Finds the CUDA driver's library once per process: the file that NATIVESPEC_CUDA_LIBRARY names, or else the system's. Where there is none
/// that costs a failed search and no more.</summary>
internal static unsafe class CudaLibrary
{
    /// <summary>The environment variable that names another library file; empty for none at all.</summary>
    public const string PathVariable = "NATIVESPEC_CUDA_LIBRARY";

    /// <summary>CUDA 12.0: the first driver that takes the PTX of these kernels.</summary>
    public const int OldestDriver = 12_000;

    private static readonly Lazy<string> Missing = new(() => Open(Environment.GetEnvironmentVariable(PathVariable)));

    /// <summary>Why there is no driver to use, in one sentence; null where there is one.</summary>
    public static string? WhyMissing => Missing.Value.Length == 0 ? null : Missing.Value;

    /// <summary>The CUDA version that the driver is for: <c>12.8</c>. There must be a driver.</summary>
    public static string Version
    {
        get
        {
            int version;
            return CudaMethods.DriverGetVersion(&version) == 0 ? FormattableString.Invariant($"{version / 1000}.{version % 1000 / 10}") : "unknown";
        }
    }

    /// <summary>Why a driver that is asked for now cannot be used; null where it can.</summary>
    public static string? WhyTooOld()
    {
        int version;
        var code = CudaMethods.DriverGetVersion(&version);
        return code != 0 ? $"the CUDA driver does not say its version: {CudaErrors.Describe(code)}"
            : version < OldestDriver ? $"the CUDA driver is for CUDA {version / 1000}.{version % 1000 / 10}; the kernels need one for {OldestDriver / 1000}.{OldestDriver % 1000 / 10} or later"
            : null;
    }

    /// <summary>Loads a library.</summary>
    /// <param name="path">The file; null for the system's, empty for none.</param>
    /// <returns>Why it is none to use; empty where it is.</returns>
    internal static string Open(string? path)
    {
        if (path is { Length: 0 })
        {
            return $"no CUDA driver is to be used: {PathVariable} is empty";
        }

        var name = path ?? (OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1");
        if (OperatingSystem.IsMacOS() && path is null)
        {
            return "there is no CUDA driver for macOS";
        }

        if (!NativeLibrary.TryLoad(name, out var library))
        {
            return path is null ? $"no CUDA driver is installed: there is no {name}" : $"no CUDA driver could be loaded from '{path}' ({PathVariable})";
        }

        if (!NativeLibrary.TryGetExport(library, "cuInit", out _))
        {
            NativeLibrary.Free(library);
            return path is null ? $"{name} is no CUDA driver: it has no cuInit" : $"'{path}' ({PathVariable}) is no CUDA driver: it has no cuInit";
        }

        NativeImports.Provide(CudaMethods.Library, library);
        if (CudaMethods.Init(0) is var code and not 0)
        {
            return code == CudaErrors.NoDevice ? CudaDevice.NoneFound : $"the CUDA driver does not start: {CudaErrors.Describe(code)}";
        }

        return "";
    }
}
