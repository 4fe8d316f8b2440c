using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends.Cuda;

namespace NativeSpec.Tests.Backends;

/// <summary>Every one this machine has, at every instruction-set level, with one thread and with several, which then also share what is so small that otherwise one thread would do it.</summary>
public sealed partial class TestBackend
{
    private const int SmallestChunk = 32;

    /// <summary>All that compute with weights as they are, for <c>[TestFixtureSource]</c>.</summary>
    public static IEnumerable<TestBackend> All
    {
        get
        {
            foreach (var level in ManagedLevels)
            {
                foreach (var threads in new[] { 1, 3 })
                {
                    yield return Managed(level, threads);
                }
            }

            foreach (var level in NativeOptions.AvailableLevels)
            {
                foreach (var threads in new[] { 1, 3 })
                {
                    yield return Native(new NativeOptions { Level = level, Threads = threads });
                }
            }
        }
    }

    /// <summary>The ones that round weights or keys and values: what they compute is another number, but as invariant.</summary>
    public static IEnumerable<TestBackend> Formats
        => RoundedKv.Where(backend => backend.Name.StartsWith("cpu", StringComparison.Ordinal)).Concat(NativeOptions.AvailableLevels.SelectMany(level => new[]
        {
            Native(new NativeOptions { Level = level, Threads = 3, Weights = WeightFormat.Q8 }),
            Native(new NativeOptions { Level = level, Threads = 2, Weights = WeightFormat.Q4, KvFormat = KvFormat.BF16 }),
        }));

    /// <summary>One for each level, with two threads: for what computes long and says nothing of threads, of which more than there are processors wait for one
    /// another.</summary>
    public static IEnumerable<TestBackend> Levels
        => ManagedLevels.Select(level => Managed(level, 2)).Concat(NativeOptions.AvailableLevels.Select(level => Native(new NativeOptions { Level = level, Threads = 2 })));

    /// <summary>The best level of the managed kernels, and of the native ones where they are built.</summary>
    public static IEnumerable<TestBackend> BestOfEach
        => NativeOptions.AvailableLevels.TakeLast(1).Select(level => Native(new NativeOptions { Level = level, Threads = 2 })).Prepend(Managed(SimdLevels.Best, 2));

    /// <summary>Backends that round keys and values to BF16, one of each level.</summary>
    public static IEnumerable<TestBackend> RoundedKv
        => ManagedLevels.Select(level => new TestBackend(
                $"cpu {level} 2 BF16 keys and values", 2, () => CpuBackend.Create(new CpuOptions { Level = level, Threads = 2, SmallestChunk = SmallestChunk, KvFormat = KvFormat.BF16 })))
            .Concat(NativeOptions.AvailableLevels.Select(level => Native(new NativeOptions { Level = level, Threads = 2, KvFormat = KvFormat.BF16 })));

    /// <summary>The CUDA back end on the emulated driver, where that is built. It rounds rows beside weights other than F32, and keys and values to BF16, and it is slow: suites
    /// take a small share of it.</summary>
    public static IEnumerable<TestBackend> Cuda => CudaEmulator.IsBuilt ? [new TestBackend("cuda", 1, () => CudaEmulator.Create())] : [];

    /// <summary>The same with keys and values in F32.</summary>
    public static IEnumerable<TestBackend> CudaF32Kv
        => CudaEmulator.IsBuilt ? [new TestBackend("cuda F32 keys and values", 1, () => CudaEmulator.Create(new CudaOptions { KvFormat = KvFormat.F32 })) { RequireWideHeads = () => CudaEmulator.RequireWideHeads(KvFormat.F32) }] : [];

    /// <summary>Whether instructions are switched off to test what is left (build.sh test --levels): then the best managed kernels that are left are of
    /// interest, and what was tested with all instructions is not tested again.</summary>
    internal static bool AreOnlyBest { get; } = Environment.GetEnvironmentVariable("NATIVESPEC_TEST_LEVELS") == "best";

    private static IEnumerable<SimdLevel> ManagedLevels
        => AreOnlyBest ? [SimdLevels.Best] : SimdLevels.Available;

    private static TestBackend Managed(SimdLevel level, int threads)
        => new($"cpu {level} {threads}", threads, () => CpuBackend.Create(new CpuOptions { Level = level, Threads = threads, SmallestChunk = SmallestChunk }));

    private static TestBackend Native(NativeOptions options) => new(
        $"native {options.Level} {options.Weights} {options.Threads}{(options.KvFormat == KvFormat.BF16 ? " BF16 keys and values" : "")}",
        options.Threads ?? 1,
        () => NativeBackend.TryCreate(options with { SmallestChunk = SmallestChunk }, out var reason) ?? throw new InvalidOperationException(reason));
}
