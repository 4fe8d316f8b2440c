using NativeSpec.Backends.Cuda;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends.Cuda;

namespace NativeSpec.Tests.Backends;

/// <summary>The CUDA back end on whatever device there is, and no other.</summary>
public sealed partial class TestBackend
{
    public static IEnumerable<TestBackend> All => [];

    public static IEnumerable<TestBackend> Levels => [];

    public static IEnumerable<TestBackend> Formats => [];

    public static IEnumerable<TestBackend> AllFormats => [];

    public static IEnumerable<TestBackend> RoundedKv => [];

    public static IEnumerable<TestBackend> Cuda => [new TestBackend("cuda", 1, () => CudaEmulator.Create())];

    /// <summary>The same with F32 keys and values.</summary>
    public static IEnumerable<TestBackend> CudaF32Kv => [new TestBackend("cuda F32 keys and values", 1, () => CudaEmulator.Create(new CudaOptions { KvFormat = KvFormat.F32 })) { RequireWideHeads = () => CudaEmulator.RequireWideHeads(KvFormat.F32) }];
}
