namespace NativeSpec.Tests.Backends;

/// <summary>The CUDA back end on whatever device there is, and no other.</summary>
public sealed partial class TestBackend
{
    public static IEnumerable<TestBackend> All => [];

    public static IEnumerable<TestBackend> Levels => [];

    public static IEnumerable<TestBackend> Formats => [];

    public static IEnumerable<TestBackend> AllFormats => [];

    public static IEnumerable<TestBackend> RoundedKv => [];

    public static IEnumerable<TestBackend> Cuda => [new TestBackend("cuda", 1, () => NativeSpec.Tests.Backends.Cuda.CudaEmulator.Create())];
}
