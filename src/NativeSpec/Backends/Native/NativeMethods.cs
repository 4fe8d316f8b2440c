using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace NativeSpec.Backends.Native;

/// <summary>The C interface of the native library, function by function: native/nativespec.h explains each.</summary>
internal static unsafe partial class NativeMethods
{
    public const string Library = "nativespec";

    /// <summary>The interface that this file describes; the library says which one it has.</summary>
    public const int AbiVersion = 3;

    [LibraryImport(Library, EntryPoint = "ns_abi_version")]
    public static partial int GetAbiVersion();

    [LibraryImport(Library, EntryPoint = "ns_struct_sizes")]
    public static partial void GetStructSizes(out int part, out int batch, out int kv);

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

    [LibraryImport(Library, EntryPoint = "ns_embed")]
    public static partial int Embed(NativeBackendHandle backend, NativePart* table, long width, NativeBatch* batch, float* x);

    [LibraryImport(Library, EntryPoint = "ns_rms_norm")]
    public static partial int RmsNorm(NativeBackendHandle backend, float* x, float* gain, float epsilon, float* y, long rows, long width);

    [LibraryImport(Library, EntryPoint = "ns_matmul")]
    public static partial int MatMul(NativeBackendHandle backend, NativeWeightHandle weight, float* x, float* y, long rows, int accumulate);

    [LibraryImport(Library, EntryPoint = "ns_gemm")]
    public static partial int Gemm(
        NativeBackendHandle backend, long m, long n, long k, float* a, long aStride, int aByColumns, float* b, long bStride, long bPanel, float* c, long cStride,
        int accumulate);

    [LibraryImport(Library, EntryPoint = "ns_rope")]
    public static partial int Rope(NativeBackendHandle backend, NativeBatch* batch, float* qkv, NativeKvView* kv, int layer);

    [LibraryImport(Library, EntryPoint = "ns_tree_attention")]
    public static partial int TreeAttention(NativeBackendHandle backend, NativeBatch* batch, float* qkv, NativeKvView* kv, int layer, float* y);

    [LibraryImport(Library, EntryPoint = "ns_swiglu")]
    public static partial int SwiGlu(NativeBackendHandle backend, float* gateUp, float* y, long rows, long width);

    [LibraryImport(Library, EntryPoint = "ns_add_silu")]
    public static partial int AddSilu(NativeBackendHandle backend, float* x, float* y, long rows, long width);

    [LibraryImport(Library, EntryPoint = "ns_gather_rows")]
    public static partial int GatherRows(NativeBatch* batch, float* x, float* y, long width);

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
            _ => new InvalidOperationException(message),
        };
    }
}

/// <summary>ns_part: rows of a matrix where they lie.</summary>
internal unsafe struct NativePart
{
    public void* Data;
    public long Rows;
    public int Type;
    public int Reserved;
}

/// <summary>ns_batch: the arrays of a <see cref="RowBatch"/>.</summary>
internal unsafe struct NativeBatch
{
    public int* Tokens;
    public int* Positions;
    public int* KvRows;
    public int* Trunk;
    public int* PageStart;
    public int* Pages;
    public int* PathStart;
    public int* PathRows;
    public int* LogitRows;
    public float* Cos;
    public float* Sin;
    public int Rows;
    public int PageCount;
    public int PathCount;
    public int LogitCount;
}

/// <summary>ns_kv: a cache and its extents.</summary>
internal unsafe struct NativeKvView
{
    public void* Data;
    public long Rows;
    public int Layers;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int Type;
    public int Reserved;
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
