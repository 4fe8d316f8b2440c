using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Tensors;
using NativeSpec.Tests;
using NativeSpec.Tests.Backends;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Texts of ILGPU's kernels.</summary>
public sealed class SameTextTests : DeviceTextTests
{
    /// <summary>A number that is none stays with its request, in the cache's pages too.</summary>
    [Test]
    public async Task CompleteAsync_BesideAndAfterARequestWhoseNumbersAreNone_WritesItsText()
    {
        using var folder = new TestFolder(dtype: DType.BF16);
        using var engine = InferenceEngine.Load(folder.Path, Options() with { MaxSequences = 2 });
        var options = Plain with { LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100 }, MaxTokens = 6 };
        var plain = await engine.CompleteAsync(Prompt, options);
        var poisoned = engine.CompleteAsync([.. Enumerable.Repeat(TestFolder.PoisonedToken, 70)], options);
        var beside = engine.CompleteAsync(Prompt, options);
        Assert.ThrowsAsync<NonFiniteLogitsException>(() => poisoned);
        AssertSame(await beside, plain);
        AssertSame(await engine.CompleteAsync([.. Prompt], options), plain);
    }

    /// <summary>The values of an independent forward, with lookup and a draft model and without.</summary>
    [Test]
    public async Task CompleteAsync_ATrainedModelWithADraft_WritesTheExpectedIds()
    {
        var (folder, draft) = (SharedFiles.Require("models", "stories260k"), SharedFiles.Require("models", "stories-xs"));
        using var document = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("models", "expected.json")));
        var expected = document.RootElement.GetProperty("stories260k");
        int[] greedy = [.. expected.GetProperty("greedy_ids").EnumerateArray().Select(id => id.GetInt32())];
        using var engine = InferenceEngine.Load(folder, Options() with { DraftModels = [draft], MaxSequences = 1, KvTokens = 512 });
        foreach (var speculation in new[] { SpeculationOptions.Off, new() { MaxNodes = 10, Unplanned = true } })
        {
            var result = await engine.CompleteAsync(
                expected.GetProperty("prompt").GetString()!, new() { MaxTokens = Math.Min(24, greedy.Length), Temperature = 0, Speculation = speculation });
            Assert.That(result.Ids, Is.EqualTo(greedy[..result.Ids.Count]));
            Assert.That(result.Ids, Has.Count.GreaterThan(8));
        }
    }

    protected override EngineOptions Options() => new()
    {
        CreateBackend = _ => TestBackend.All.First().Create(),
        MaxContext = 160,
        KvTokens = 640,
        MaxSequences = 4,
        MaxTreeNodes = 16,
        PrefillChunk = 70,
    };
}
