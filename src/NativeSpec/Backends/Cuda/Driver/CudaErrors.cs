using System.Runtime.InteropServices;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>A call of the driver failed, and the device goes on: there was no memory, or an argument was wrong.</summary>
internal sealed class CudaException(int code, string message) : BackendException(code, null, message);

/// <summary>The driver's errors: their names, and which of them end the context.</summary>
internal static unsafe class CudaErrors
{
    public const int None = 0;
    public const int OutOfMemory = 2;
    public const int NoDevice = 100;

    /// <summary>After these every later call fails: an uncorrectable memory error, illegal addresses and instructions, a launch that timed out or
    /// failed, an assertion, an unknown one.</summary>
    public static bool IsSticky(int code) => code is 214 or 700 or 702 or 710 or (>= 714 and <= 720) or 999;

    /// <summary>For messages: <c>CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access was encountered</c>.</summary>
    public static string Describe(int code)
    {
        byte* name = null, text = null;
        var known = CudaMethods.GetErrorName(code, &name) == 0 && name is not null;
        var told = CudaMethods.GetErrorString(code, &text) == 0 && text is not null;
        return $"{(known ? Marshal.PtrToStringUTF8((nint)name) : "error")} ({code}){(told ? ": " + Marshal.PtrToStringUTF8((nint)text) : "")}";
    }
}
