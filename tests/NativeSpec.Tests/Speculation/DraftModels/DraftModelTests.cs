using System.Text.Json.Nodes;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Loading;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Tokenization;

namespace NativeSpec.Tests.Speculation.DraftModels;

public sealed class DraftModelTests
{
    private static readonly int[] Prompt = [104, 101, 32, 104, 101, 32, 116];

    private static readonly GenerationOptions Plain = new()
    {
        MaxTokens = 40,
        Seed = 3,
        Temperature = 0,
        Speculation = SpeculationOptions.Off,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    private static readonly SpeculationOptions Draft = new() { Drafters = ["draft"], Unplanned = true };

    [Test]
    public async Task CompleteAsync_DraftIsTheTarget_AcceptsEverythingAndTheBonusToken([Values(0f, 1f)] float temperature)
    {
        using var folder = new TestFolder();
        using var engine = Open(folder, folder, new DraftModelOptions { Depth = 3, StopBelow = 0 });
        var options = Plain with { Temperature = temperature, MaxTokens = 41, LogitBias = null, IgnoreEndOfText = true };
        options = temperature == 0 ? options : options with { Speculation = SpeculationOptions.Off };
        var fast = await engine.CompleteAsync(Prompt, options with { Speculation = Draft with { SampleDrafts = true } });
        Assert.That(fast.Speculation.AcceptanceRate, Is.EqualTo(1));
        Assert.That(fast.Speculation.Rounds, Is.EqualTo(10), "four tokens a round after the prompt's own");
    }

    [Test]
    public async Task CompleteAsync_AnotherModelAsDraft_WritesThePlainText([Values(1, 3)] int width, [Values(0f, 0.8f)] float temperature)
    {
        using var folder = new TestFolder();
        using var other = new TestFolder(seed: 99);
        using var engine = Open(folder, other, new DraftModelOptions { Depth = 5, Width = width, StopBelow = 0 });
        var options = Plain with { Temperature = temperature };

        var plain = await engine.CompleteAsync(Prompt, options);
        var fast = await engine.CompleteAsync(Prompt, options with { Speculation = Draft });

        Assert.That(fast.Ids, Is.EqualTo(plain.Ids));
        Assert.That(fast.Speculation.Drafters.Single(d => d.Name == "draft").Drafted, Is.GreaterThan(20));
    }

    [Test]
    public async Task CompleteAsync_ADraftOfAnotherVocabulary_WritesThePlainText([Values] bool mapsTokens)
    {
        using var folder = new TestFolder();
        using var other = new TestFolder();
        if (mapsTokens)
        {
            TestTokenizers.WriteByteLevel(other.Path, 290); // the same ordinary tokens, fewer control tokens
        }
        else
        {
            File.Delete(Path.Combine(other.Path, "tokenizer.json"));
            File.WriteAllText(Path.Combine(other.Path, "tokenizer.json"), TestTokenizers.Llama2().ToJsonString());
        }

        using var engine = Open(folder, other, new DraftModelOptions { Depth = 4, StopBelow = 0 });
        var plain = await engine.CompleteAsync("hello the", Plain);
        var fast = await engine.CompleteAsync("hello the", Plain with { Speculation = Draft });

        Assert.That(fast.Ids, Is.EqualTo(plain.Ids));
        Assert.That(fast.Speculation.Drafted, Is.GreaterThan(0));
    }

    [Test]
    public void Load_ADraftWhoseVocabularyCannotWork_SaysWhatToDo()
    {
        using var folder = new TestFolder();
        using var other = new TestFolder();
        var tokenizer = TestTokenizers.Llama2();
        tokenizer["model"]!["byte_fallback"] = false;
        tokenizer["model"]!["vocab"] = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2, ["α"] = 3, ["ω"] = 4 };
        tokenizer["model"]!["merges"] = new JsonArray();
        File.WriteAllText(Path.Combine(other.Path, "tokenizer.json"), tokenizer.ToJsonString());

        Assert.That(
            () => Open(folder, other, new DraftModelOptions()),
            Throws.ArgumentException.With.Message.Contains(other.Path).And.Message.Contains("take one with the target's vocabulary"));
    }

    [Test]
    public async Task CompleteAsync_TypicalAcceptance_IsCalledLossyAndAcceptsAtLeastAsMuch()
    {
        using var folder = new TestFolder();
        using var other = new TestFolder(seed: 99);
        using var engine = Open(folder, other, new DraftModelOptions { Depth = 3, Width = 4, StopBelow = 0 });
        var sampled = Plain with { Temperature = 1 };

        var exact = await engine.CompleteAsync(Prompt, sampled with { Speculation = Draft });
        var lossy = await engine.CompleteAsync(Prompt, sampled with { Speculation = Draft with { LossyTypicalAcceptance = new(1e-6, 1e-6) } });

        Assert.That(lossy.Speculation.IsLossy, Is.True);
        Assert.That(exact.Speculation.IsLossy, Is.False);
        Assert.That(lossy.Speculation.TokensPerRound, Is.GreaterThan(exact.Speculation.TokensPerRound));
    }

    [TestCase(0, 0.3)]
    [TestCase(0.09, 2)]
    [TestCase(double.NaN, 0.3)]
    public void GenerateAsync_TypicalAcceptanceOutOfRange_IsRefused(double epsilon, double delta)
    {
        using var folder = new TestFolder();
        using var engine = Open(folder, folder, new DraftModelOptions());
        Assert.That(
            () => engine.GenerateAsync(Prompt, Plain with { Speculation = Draft with { LossyTypicalAcceptance = new(epsilon, delta) } }),
            Throws.ArgumentException.With.Message.Contains("typical"));
    }

    /// <summary>Published for this pair: top-1 agreement 0.755.</summary>
    [Test]
    public async Task CompleteAsync_TrainedPair_AgreesAsPublished()
    {
        var target = SharedFiles.Require("models", "stories260k");
        var draft = SharedFiles.Require("models", "stories-xs");
        using var engine = InferenceEngine.Load(target, new EngineOptions
        {
            Drafters = [],
            DraftModels = [draft],
            DraftOptions = new DraftModelOptions { Depth = 1, StopBelow = 0 },
        });
        var (rounds, accepted) = (0, 0);
        foreach (var prompt in new[] { "Once upon a time", "Lily and Tom", "The little dog", "One day, a girl", "There was a big" })
        {
            var options = new GenerationOptions { MaxTokens = 150, Temperature = 0, Speculation = SpeculationOptions.Off };
            var plain = await engine.CompleteAsync(prompt, options);
            var fast = await engine.CompleteAsync(prompt, options with { Speculation = Draft });
            Assert.That(fast.Ids, Is.EqualTo(plain.Ids));
            rounds += fast.Speculation.Drafted;
            accepted += fast.Speculation.Accepted;
        }

        Assert.That((double)accepted / rounds, Is.EqualTo(0.755).Within(0.08));
    }

    [Test]
    public void Load_ADraftThatIsNoModel_SaysWhich()
    {
        using var folder = new TestFolder();
        Assert.That(
            () => InferenceEngine.Load(folder.Path, new EngineOptions { DraftModels = ["/no/draft"] }),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("/no/draft"));
    }

    private static InferenceEngine Open(TestFolder target, TestFolder draft, DraftModelOptions options) => InferenceEngine.Load(
        target.Path,
        new EngineOptions
        {
            Drafters = [],
            DraftModels = [draft.Path],
            DraftOptions = options,
            CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }),
        });
}
