using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace NativeSpec.Backends.Native;

/// <summary>The C interface of the native library, function by function: native/nativespec.h explains each.</summary>
internal static unsafe partial class NativeMethods
{
    public const string Library = "nativespec";

    /// <summary>The interface that this file describes; the library says which one it has.</summary>
    public const int AbiVersion = 6;

    /// <summary>The status of a run that was cancelled.</summary>
    public const int Cancelled = 5;

    [LibraryImport(Library, EntryPoint = "ns_abi_version")]
    public static partial int GetAbiVersion();

    [LibraryImport(Library, EntryPoint = "ns_struct_sizes")]
    public static partial void GetStructSizes(out int part, out int batch, out int kv, out int step);

    [LibraryImport(Library, EntryPoint = "ns_last_error")]
    public static partial byte* GetLastError();

    [LibraryImport(Library, EntryPoint = "ns_level_name")]
    public static partial byte* GetLevelName(int level);

    [LibraryImport(Library, EntryPoint = "ns_level_runs")]
    public static partial int LevelRuns(int level);

    [LibraryImport(Library, EntryPoint = "ns_default_level")]
    public static partial int GetDefaultLevel();

    [LibraryImport(Library, EntryPoint = "ns_backend_create")]
    public static partial int CreateBackend(int threads, int level, out NativeBackendHandle backend);

    [LibraryImport(Library, EntryPoint = "ns_backend_destroy")]
    public static partial void DestroyBackend(nint backend);

    [LibraryImport(Library, EntryPoint = "ns_backend_set_smallest_chunk")]
    public static partial int SetSmallestChunk(NativeBackendHandle backend, long work);

    [LibraryImport(Library, EntryPoint = "ns_weight_create")]
    public static partial int CreateWeight(
        NativeBackendHandle backend, NativePart* parts, int count, long inFeatures, float* bias, int format, out NativeWeightHandle weight);

    [LibraryImport(Library, EntryPoint = "ns_weight_from_packed")]
    public static partial int WeightFromPacked(
        void* packed, long bytes, long outFeatures, long inFeatures, float* bias, int format, out NativeWeightHandle weight);

    [LibraryImport(Library, EntryPoint = "ns_weight_destroy")]
    public static partial void DestroyWeight(nint weight);

    [LibraryImport(Library, EntryPoint = "ns_packed_bytes")]
    public static partial long GetPackedBytes(long outFeatures, long inFeatures, int format);

    [LibraryImport(Library, EntryPoint = "ns_quantize")]
    public static partial int Quantize(
        NativeBackendHandle backend, NativePart* parts, int count, long inFeatures, int format, void* packed, long bytes);

    [LibraryImport(Library, EntryPoint = "ns_read")]
    public static partial int Read(NativeBackendHandle backend, void* data, long bytes);

    [LibraryImport(Library, EntryPoint = "ns_to_floats")]
    public static partial int ToFloats(NativeBackendHandle backend, NativePart* vector, float* y);

    [LibraryImport(Library, EntryPoint = "ns_program_create")]
    public static partial int CreateProgram(NativeBackendHandle backend, NativeStep* steps, int count, NativeRoom* room, out NativeProgramHandle program);

    [LibraryImport(Library, EntryPoint = "ns_program_destroy")]
    public static partial void DestroyProgram(nint program);

    [LibraryImport(Library, EntryPoint = "ns_program_run")]
    public static partial int RunProgram(NativeProgramHandle program, NativeBatch* batch, NativeKvView* kv, int* cancelled);

    [LibraryImport(Library, EntryPoint = "ns_gemm")]
    public static partial int Gemm(
        NativeBackendHandle backend, long m, long n, long k, float* a, long aStride, int aByColumns, float* b, long bStride, long bPanel, float* c, long cStride,
        int accumulate);

    [LibraryImport(Library, EntryPoint = "ns_move_kv_rows")]
    public static partial int MoveKvRows(NativeKvView* kv, int* from, int* to, int count);

    /// <summary>Turns a status into the exception it means.</summary>
    public static void Check(int status)
    {
        if (status == 0)
        {
            return;
        }

        var message = Marshal.PtrToStringUTF8((nint)GetLastError()) ?? "";
        throw status switch
        {
            1 => new ArgumentException(message),
            2 => new ArgumentOutOfRangeException(null, message),
            3 => new InsufficientMemoryException(message),
            Cancelled => new OperationCanceledException(),
            _ => new InvalidOperationException(message),
        };
    }
}

/// <summary>An ns_backend.</summary>
internal sealed class NativeBackendHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMethods.DestroyBackend(handle);
        return true;
    }
}

/// <summary>An ns_weight.</summary>
internal sealed class NativeWeightHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMethods.DestroyWeight(handle);
        return true;
    }
}

/// <summary>An ns_program.</summary>
internal sealed class NativeProgramHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMethods.DestroyProgram(handle);
        return true;
    }
}
