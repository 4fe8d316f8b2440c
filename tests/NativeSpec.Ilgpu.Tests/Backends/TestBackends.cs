using NativeSpec.Backends.Native;
using NativeSpec.Ilgpu;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>The ILGPU back end on its processor accelerator, or on the device that NATIVESPEC_ILGPU_DEVICE names. All tests share one device, because a kernel takes longer to compile than
/// to test.</summary>
public sealed partial class TestBackend
{
    private static readonly Lazy<IlgpuDevice> Device = new(() => IlgpuDevice.Open(Environment.GetEnvironmentVariable("NATIVESPEC_ILGPU_DEVICE") ?? "cpu", threads: 2));

    /// <summary>With weights as they are, for <c>[TestFixtureSource]</c>.</summary>
    public static IEnumerable<TestBackend> All => [Of(WeightFormat.AsStored, KvFormat.F32)];

    /// <summary>The same: this accelerator has no levels of instructions.</summary>
    public static IEnumerable<TestBackend> Levels => All;

    /// <summary>The one that rounds most: weights of 4 bits where the native library packs them, keys and values of BF16.</summary>
    public static IEnumerable<TestBackend> Formats => [Of(NativeLibraryLoader.WhyMissing is null ? WeightFormat.Q4 : WeightFormat.AsStored, KvFormat.BF16)];

    /// <summary>All, whatever they round.</summary>
    public static IEnumerable<TestBackend> AllFormats => All.Concat(Formats);

    /// <summary>With BF16 keys and values.</summary>
    public static IEnumerable<TestBackend> RoundedKv => [Of(WeightFormat.AsStored, KvFormat.BF16)];

    /// <summary>The CUDA back end's own tests run elsewhere.</summary>
    public static IEnumerable<TestBackend> Cuda => [];

    /// <summary>Likewise.</summary>
    public static IEnumerable<TestBackend> CudaF32Kv => [];

    /// <summary>The device that all share.</summary>
    internal static IlgpuDevice SharedDevice => Device.Value;

    private static TestBackend Of(WeightFormat weights, KvFormat kv) => new(
        $"ilgpu {SharedDevice.Name}{(SharedDevice.HasTensorCores ? ", tensor cores" : "")}, {weights}{(kv == KvFormat.BF16 ? " BF16 keys and values" : "")}", 2, () => new IlgpuBackend(SharedDevice, ownsDevice: false, weights, kv));
}
