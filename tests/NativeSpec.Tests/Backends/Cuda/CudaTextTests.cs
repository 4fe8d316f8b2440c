using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Speculation;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Texts of the CUDA kernels, with keys and values in either format.</summary>
[TestFixture(KvFormat.BF16)]
[TestFixture(KvFormat.F32)]
public sealed class CudaTextTests(KvFormat kvFormat) : DeviceTextTests
{
    [SetUp]
    public void RequireTheDriver() => CudaEmulator.Require();

    [TearDown]
    public void AskTheDriver()
    {
        if (TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Passed)
        {
            Assert.That(CudaEmulator.Problems(), Is.Empty);
        }
    }

    [Test]
    public async Task CompleteAsync_BesideAndAfterARequestWhoseNumbersAreNone_WritesItsText()
    {
        using var folder = new TestFolder(dtype: DType.BF16);
        using var other = new TestFolder(seed: 99);
        using var engine = Open(folder, other);
        var options = Plain with { LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100 } };
        var plain = await engine.CompleteAsync(Prompt, options);
        var poisoned = Enumerable.Range(0, 4).Select(_ => engine.CompleteAsync([.. Enumerable.Repeat(TestFolder.PoisonedToken, 130)], options)).ToArray();
        var beside = engine.CompleteAsync(Prompt, options);
        foreach (var task in poisoned)
        {
            Assert.ThrowsAsync<NonFiniteLogitsException>(() => task);
        }

        AssertSame(await beside, plain);
        var right = new AlwaysRightDrafter([.. Prompt, .. plain.Ids.Take(3), TestFolder.PoisonedToken, .. plain.Ids.Skip(4)]);
        AssertSame(await engine.CompleteAsync(Prompt, options), plain); // in pages that the others had
        AssertSame(await engine.CompleteAsync(Prompt, options with { Speculation = new() { Drafters = [], Sources = [right], MaxNodes = 8, Unplanned = true } }), plain);
    }

    protected override EngineOptions Options() => new()
    {
        Backend = BackendKind.Cuda,
        Device = 0,
        KvFormat = kvFormat,
        MaxContext = 160,
        KvTokens = 640,
        MaxSequences = 4,
        MaxTreeNodes = 16,
        PrefillChunk = 140, // more than a pass
    };
}
