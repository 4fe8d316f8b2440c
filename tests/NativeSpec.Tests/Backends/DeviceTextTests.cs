using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Speculation;

namespace NativeSpec.Tests.Backends;

/// <summary>The same text with speculation and without, and alone and together, on a device: target, draft models and Medusa heads all compute there.</summary>
public abstract class DeviceTextTests
{
    protected static readonly int[] Prompt = [104, 101, 32, 104, 101, 32, 116, 104, 101, 32];

    protected static readonly GenerationOptions Plain = new()
    {
        MaxTokens = 14,
        Seed = 7,
        Temperature = 0,
        TopLogProbs = 1,
        Speculation = SpeculationOptions.Off,
        IgnoreEndOfText = true,
    };

    /// <summary>Chosen on the device, where nothing is added to a logit; and by the host.</summary>
    protected static readonly GenerationOptions[] Kinds =
    [
        Plain,
        Plain with { Temperature = 0.3f },
        Plain with { Temperature = 1, TopP = 0.9f, MinP = 0.02f },
        Plain with { Temperature = 0.7f, TopK = 20, RepetitionPenalty = 1.2f, LogitBias = new Dictionary<int, float> { [9] = 1 } },
    ];

    [Test]
    public async Task CompleteAsync_EveryDrafterInOneTree_WritesThePlainText()
    {
        using TestFolder folder = new(dtype: DType.BF16, poisoned: false), other = new(seed: 99, poisoned: false);
        using var engine = Open(folder, other);
        foreach (var kind in Kinds)
        {
            var plain = await engine.CompleteAsync(Prompt, kind);
            var fast = await engine.CompleteAsync(Prompt, kind with { Speculation = All(14) });
            AssertSame(fast, plain);
            Assert.That(fast.Speculation.Drafters.Select(drafter => drafter.Name), Is.EquivalentTo(new[] { "lookup", "recycle", "lookahead", "draft", "draft2", "medusa", "wrong", "garbage" }));
            Assert.That(fast.Speculation.Drafters.Single(drafter => drafter.Name == "draft").Accepted, Is.Positive, "the model drafts for itself");
        }
    }

    /// <summary>All sources merged, at temperatures and rules that the device knows and that it does not.</summary>
    [Test]
    public async Task CompleteAsync_SeveralAtOnce_EachWritesItsPlainText([Values(4, 16)] int count)
    {
        using TestFolder folder = new(dtype: DType.BF16, poisoned: false), other = new(seed: 99, poisoned: false);
        using var engine = Open(folder, other, count);
        var random = new Random(5);
        var requests = Enumerable.Range(0, count).Select(i => (
            Prompt: (int[])[.. Enumerable.Range(0, 1 + random.Next(90)).Select(_ => random.Next(250))], Options: Kinds[i % 4] with { Seed = (ulong)i, MaxTokens = 5 + (3 * (i % 4)) })).ToArray();
        List<GenerationResult> plain = [];
        foreach (var (prompt, options) in requests)
        {
            plain.Add(await engine.CompleteAsync(prompt, options));
        }

        var fast = await Task.WhenAll(requests.Select(request => engine.CompleteAsync(request.Prompt, request.Options with { Speculation = All(5) })));

        for (var i = 0; i < fast.Length; i++)
        {
            AssertSame(fast[i], plain[i]);
        }
    }

    /// <summary>An engine's options with the device's back end.</summary>
    protected abstract EngineOptions Options();

    protected static SpeculationOptions All(int nodes)
        => new() { Sources = [new GarbageDrafter(300), new AlwaysWrongDrafter([.. Prompt, .. new int[200]], 300)], MaxNodes = nodes, Unplanned = true };

    private protected InferenceEngine Open(TestFolder folder, TestFolder other, int sequences = 4)
    {
        return InferenceEngine.Load(folder.Path, Options() with
        {
            MaxSequences = sequences,
            KvTokens = 160 * sequences,
            DraftModels = [folder.Path, other.Path],
            DraftOptions = new DraftModelOptions { Depth = 3, Width = 2, StopBelow = 0 },
            Medusa = other.WriteHeads(),
        });
    }

    protected static void AssertSame(GenerationResult actual, GenerationResult plain)
    {
        Assert.That(actual.Ids, Is.EqualTo(plain.Ids));
        Assert.That(actual.LogProbs.Select(l => l.Chosen), Is.EqualTo(plain.LogProbs.Select(l => l.Chosen)), "bit for bit");
    }
}
