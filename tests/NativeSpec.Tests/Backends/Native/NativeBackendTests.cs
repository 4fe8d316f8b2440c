using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends.Native;

/// <summary>What is the native backend's own: options, the library's version, tables.</summary>
public sealed class NativeBackendTests
{
    [SetUp]
    public void RequireLibrary() => Assume.That(NativeLibraryLoader.WhyMissing, Is.Null);

    [Test]
    public void TryCreate_EveryLevelOfThisMachine_ComputesAtThatLevel()
    {
        Assert.That(NativeOptions.AvailableLevels, Does.Contain("generic"));
        foreach (var level in NativeOptions.AvailableLevels)
        {
            using var backend = NativeBackend.TryCreate(new NativeOptions { Level = level, Threads = 2, Weights = WeightFormat.Q8 }, out var reason);
            Assert.That(reason, Is.Null);
            Assert.That(backend!.Description, Does.Contain(level).And.Contain("2 threads").And.Contain("q8"));
        }
    }

    [Test]
    public void TryCreate_ALevelThisMachineDoesNotRun_IsRefusedWithTheOnesItRuns()
    {
        var error = Assert.Throws<ArgumentException>(() => NativeBackend.TryCreate(new NativeOptions { Level = "avx1024" }, out _))!;
        Assert.That(error.Message, Does.Contain("avx1024").And.Contain("generic"));
    }

    [Test]
    public void TryCreate_OptionsThatCannotBe_AreRefused()
    {
        Assert.Throws<ArgumentException>(() => NativeBackend.TryCreate(new NativeOptions { Threads = 0 }, out _));
        Assert.Throws<ArgumentException>(() => NativeBackend.TryCreate(new NativeOptions { Weights = (WeightFormat)5 }, out _));
    }

    [Test]
    public unsafe void MatMul_WithATableThatIsOnlyLookedUp_IsRefused()
    {
        using var backend = NativeBackend.TryCreate(null, out _)!;
        var values = stackalloc float[4];
        using var table = backend.ImportTable(new TensorView("table", DType.F32, [2, 2], (nint)values, 16));
        var plan = new ForwardPlan(1, 0);
        plan.Project(plan.Input(2), table);
        Assert.Throws<ArgumentException>(() => backend.Compile(plan));
    }

    [TestCase(1, 0, "version 1")]
    [TestCase(NativeMethods.AbiVersion, 8, "bytes")]
    public void CheckAbi_AnotherVersionOrLayout_IsRefusedWithWhatDiffers(int version, int partSize, string expected)
    {
        var error = Assert.Throws<InvalidOperationException>(() => NativeLibraryLoader.CheckAbi(version, partSize, 0, 0, 0))!;
        Assert.That(error.Message, Does.Contain(expected));
    }
}
