using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation;

/// <summary>The promise: with the same seed, the same text with speculation on or off, token for token and log-probability for
/// log-probability, for every drafter alone and all together, any tree size and any neighbours.</summary>
public sealed class SameTextTests
{
    private static readonly int[] Prompt = [104, 101, 32, 104, 101, 32, 116, 104, 101, 32, 104, 101, 32];

    private static readonly GenerationOptions Plain = new()
    {
        MaxTokens = 48,
        Seed = 7,
        Temperature = 0,
        TopLogProbs = 1,
        Speculation = SpeculationOptions.Off,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    private static readonly GenerationOptions[] Kinds =
    [
        Plain,
        Plain with { Temperature = 0.3f },
        Plain with { Temperature = 1, TopP = 0.9f, MinP = 0.02f },
        Plain with { Temperature = 0.7f, TopK = 20, RepetitionPenalty = 1.2f, PresencePenalty = 0.3f, FrequencyPenalty = 0.2f },
    ];

    private static readonly string[] Names = ["lookup", "recycle", "lookahead", "draft", "draft2", "medusa", "wrong", "garbage", "all"];

    private TestFolder _twin = null!;  // the same weights: a draft that is mostly right
    private TestFolder _other = null!;
    private string _heads = null!;

    [OneTimeSetUp]
    public void MakeDrafts()
    {
        (_twin, _other) = (new TestFolder(), new TestFolder(seed: 99));
        _heads = Path.Combine(_other.Path, "heads.safetensors");
        var (random, hidden, vocab) = (new Random(3), TestConfigs.Tiny.HiddenSize, TestConfigs.Tiny.VocabSize);
        SafetensorsWriter.Write(_heads, Enumerable.Range(0, 3).SelectMany(h => new[]
        {
            Tensor($"{h}.0.linear.weight", hidden, hidden), Tensor($"{h}.0.linear.bias", hidden), Tensor($"{h}.1.weight", vocab, hidden),
        }));

        SafetensorsTensor Tensor(string name, params long[] shape)
            => SafetensorsTensor.FromFloats(name, shape, Enumerable.Range(0, (int)shape.Aggregate((a, b) => a * b)).Select(_ => (float)random.NextDouble() - 0.5f).ToArray());
    }

    [OneTimeTearDown]
    public void DeleteDrafts()
    {
        _twin.Dispose();
        _other.Dispose();
    }

    [Test, Pairwise]
    public async Task CompleteAsync_EveryDrafterAndTreeSize_WritesThePlainText(
        [ValueSource(nameof(Names))] string name, [Values(1, 2, 5, 16, 63)] int nodes, [Values] bool bf16)
    {
        using var folder = new TestFolder(dtype: bf16 ? DType.BF16 : DType.F32);
        using var engine = Open(folder);
        foreach (var kind in Kinds)
        {
            var plain = await engine.CompleteAsync(Prompt, kind);
            var fast = await engine.CompleteAsync(Prompt, kind with { Speculation = With(name, nodes) });
            AssertSame(fast, plain);
        }
    }

    [Test]
    public async Task CompleteAsync_AllInOneTreeOfAnySize_WritesThePlainText()
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        var plain = await engine.CompleteAsync(Prompt, Plain);
        for (var nodes = 1; nodes <= 64; nodes++)
        {
            var fast = await engine.CompleteAsync(Prompt, Plain with { Speculation = With("all", nodes) });
            AssertSame(fast, plain);
            Assert.That(fast.Speculation.Drafters.Select(drafter => drafter.Name), Is.EquivalentTo(Names.SkipLast(1)), "every drafter is in the tree");
        }
    }

    [Test]
    public async Task CompleteAsync_TheTextItselfAsDraft_AcceptsAllOfItAndTheBonusToken([Values(1, 3, 7)] int nodes)
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        var plain = await engine.CompleteAsync(Prompt, Plain);
        var right = new AlwaysRightDrafter([.. Prompt, .. plain.Ids]);

        var fast = await engine.CompleteAsync(Prompt, Plain with { Speculation = new() { Drafters = [], Sources = [right], MaxNodes = nodes, Unplanned = true } });

        AssertSame(fast, plain);
        Assert.That(fast.Speculation.AcceptanceRate, Is.EqualTo(1));
        Assert.That(fast.Speculation.Rounds, Is.EqualTo((int)Math.Ceiling(47 / (nodes + 1.0))), "K + 1 tokens a round, after the prompt's own");
    }

    [Test]
    public async Task CompleteAsync_ManyAtOnceAtRaggedTimes_EachWritesItsPlainText([Values(1, 4, 16)] int batch)
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        var random = new Random(5);
        var requests = Enumerable.Range(0, 2 * batch).Select(i => (
            Prompt: (int[])[.. Enumerable.Range(0, 1 + random.Next(60)).Select(_ => random.Next(250))],
            Options: Kinds[i % Kinds.Length] with { Seed = (ulong)i, MaxTokens = 5 + random.Next(40) })).ToArray();
        List<GenerationResult> plain = [];
        foreach (var (prompt, options) in requests)
        {
            plain.Add(await engine.CompleteAsync(prompt, options));
        }

        var fast = await Task.WhenAll(requests.Select(async (request, i) =>
        {
            await Task.Delay(random.Next(30));
            return await engine.CompleteAsync(request.Prompt, request.Options with { Speculation = i % 5 == 4 ? SpeculationOptions.Auto : With(Names[i % Names.Length], 1 + (i * 7 % 40)) });
        }));

        for (var i = 0; i < fast.Length; i++)
        {
            AssertSame(fast[i], plain[i]);
        }
    }

    [Test]
    public async Task CompleteAsync_EndOfTextStopStringsAndLengthInsideAnAcceptedBlock_EndAsPlain()
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        var free = await engine.CompleteAsync(Prompt, Plain with { MaxTokens = 60 });
        var right = With(new AlwaysRightDrafter([.. Prompt, .. free.Ids]), 16);
        for (var end = 1; end <= 40; end += 3)
        {
            var stop = engine.Tokenizer.Decode([.. free.Ids.Skip(end).Take(3)], atTextStart: false);
            GenerationOptions[] kinds =
            [
                Plain with { MaxTokens = end },
                Plain with { MaxTokens = 60, StopIds = [free.Ids[end]] },
                Plain with { MaxTokens = 60, StopStrings = stop.Length == 0 ? [] : [stop] },
            ];
            foreach (var kind in kinds)
            {
                var plain = await engine.CompleteAsync(Prompt, kind);
                var fast = await engine.CompleteAsync(Prompt, kind with { Speculation = right });
                AssertSame(fast, plain);
                Assert.That((fast.Text, fast.FinishReason, fast.StopString), Is.EqualTo((plain.Text, plain.FinishReason, plain.StopString)));
            }
        }
    }

    [Test]
    public async Task CompleteAsync_UntilTheContextIsFull_EndsAsPlain()
    {
        using var folder = new TestFolder(maxPositions: 70);
        using var engine = Open(folder);
        var plain = await engine.CompleteAsync(Prompt, Plain with { MaxTokens = null });
        foreach (var name in Names)
        {
            AssertSame(await engine.CompleteAsync(Prompt, Plain with { MaxTokens = null, Speculation = With(name, 30) }), plain);
        }

        Assert.That(plain.Ids, Has.Count.EqualTo(70 - Prompt.Length));
    }

    [Test]
    public async Task GenerateAsync_SeveralTokensARound_StreamWhatTheResultSays()
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        List<GenerationPiece> pieces = [];
        await foreach (var piece in engine.GenerateAsync(Prompt, Plain with { Speculation = With("all", 20) }))
        {
            pieces.Add(piece);
        }

        var result = pieces[^1].Result!;
        Assert.That(string.Concat(pieces.Select(piece => piece.Text)), Is.EqualTo(result.Text));
        Assert.That(pieces.SelectMany(piece => piece.Ids), Is.EqualTo(result.Ids));
        var stats = result.Speculation;
        Assert.That(stats.Emitted, Is.EqualTo(result.Ids.Count - 1), "all but the first, which the prompt's forward gave");
        Assert.That(stats.Accepted + stats.Rounds, Is.EqualTo(stats.Emitted));
        Assert.That(stats.AcceptedPerPosition.Sum(), Is.EqualTo(stats.Accepted));
    }

    [Test]
    public async Task CompleteAsync_ADrafterThatThrows_FailsItsRequestAlone()
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        var plain = await engine.CompleteAsync(Prompt, Plain);
        var neighbour = engine.CompleteAsync(Prompt, Plain);
        Assert.ThrowsAsync<DivideByZeroException>(() => engine.CompleteAsync(Prompt, Plain with { Speculation = With(new ThrowingDrafter(), 4) }));
        AssertSame(await neighbour, plain);
    }

    [Test]
    public void CompleteAsync_ADrafterThatIsNotThere_IsNamedWithThoseThatAre()
    {
        using var folder = new TestFolder();
        using var engine = Open(folder);
        Assert.That(
            () => engine.GenerateAsync(Prompt, Plain with { Speculation = new() { Drafters = ["magic"] } }),
            Throws.ArgumentException.With.Message.Contains("magic").And.Message.Contains("lookup"));
    }

    private static SpeculationOptions With(string name, int nodes) => name switch
    {
        "wrong" => With(new AlwaysWrongDrafter([.. Prompt, .. new int[200]], 300), nodes),
        "garbage" => With(new GarbageDrafter(300), nodes),
        "all" => new SpeculationOptions { Sources = [new GarbageDrafter(300), new AlwaysWrongDrafter([.. Prompt, .. new int[200]], 300)], MaxNodes = nodes, Unplanned = true },
        _ => new SpeculationOptions { Drafters = [name], MaxNodes = nodes, Unplanned = true },
    };

    private static SpeculationOptions With(IDrafterSource source, int nodes) => new() { Drafters = [], Sources = [source], MaxNodes = nodes, Unplanned = true };

    private static void AssertSame(GenerationResult actual, GenerationResult plain)
    {
        Assert.That(actual.Ids, Is.EqualTo(plain.Ids));
        Assert.That(actual.LogProbs.Select(l => l.Chosen), Is.EqualTo(plain.LogProbs.Select(l => l.Chosen)), "bit for bit");
    }

    private InferenceEngine Open(TestFolder folder) => InferenceEngine.Load(folder.Path, new EngineOptions
    {
        CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }),
        DraftModels = [_twin.Path, _other.Path],
        DraftOptions = new DraftModelOptions { Depth = 4, Width = 2, StopBelow = 0 },
        Medusa = _heads,
    });

    private sealed class ThrowingDrafter() : StatelessDrafter("throwing")
    {
        public override void Propose(DraftContext context, DraftTree tree) => throw new DivideByZeroException();
    }
}
