using NativeSpec.Backends.Native;
using NativeSpec.Ilgpu;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>The ILGPU back end on its processor accelerator. All tests share one device, because a kernel takes longer to compile than to test.</summary>
public sealed partial class TestBackend
{
    private static readonly Lazy<IlgpuDevice> Device = new(() => IlgpuDevice.Open("cpu", threads: 2));

    /// <summary>With weights as they are, for <c>[TestFixtureSource]</c>.</summary>
    public static IEnumerable<TestBackend> All => [Of(WeightFormat.AsStored, KvFormat.F32)];

    /// <summary>The same: this accelerator has no levels of instructions.</summary>
    public static IEnumerable<TestBackend> Levels => All;

    /// <summary>The ones that round weights or keys and values.</summary>
    public static IEnumerable<TestBackend> Formats
        => NativeLibraryLoader.WhyMissing is null ? [Of(WeightFormat.Q8, KvFormat.F32), Of(WeightFormat.Q4, KvFormat.BF16)] : RoundedKv;

    /// <summary>All, whatever they round.</summary>
    public static IEnumerable<TestBackend> AllFormats => All.Concat(Formats);

    /// <summary>With BF16 keys and values.</summary>
    public static IEnumerable<TestBackend> RoundedKv => [Of(WeightFormat.AsStored, KvFormat.BF16)];

    /// <summary>The CUDA back end's own tests run elsewhere.</summary>
    public static IEnumerable<TestBackend> Cuda => [];

    /// <summary>The device that all share.</summary>
    internal static IlgpuDevice SharedDevice => Device.Value;

    private static TestBackend Of(WeightFormat weights, KvFormat kv) => new(
        $"ilgpu cpu {weights}{(kv == KvFormat.BF16 ? " BF16 keys and values" : "")}", 2, () => new IlgpuBackend(SharedDevice, ownsDevice: false, weights, kv));
}
