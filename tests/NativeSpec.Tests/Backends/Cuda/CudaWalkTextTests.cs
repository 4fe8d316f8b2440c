using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Speculation;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Texts whose trees the device walks along, beside others that the host walks along: those of plain decoding, whatever comes between.</summary>
public sealed class CudaWalkTextTests
{
    private static readonly GenerationOptions Plain = new() { MaxTokens = 14, Temperature = 0, TopLogProbs = 1, IgnoreEndOfText = true, Speculation = SpeculationOptions.Off };

    /// <summary>Two that the device chooses and walks, and three that are the host's.</summary>
    private static readonly GenerationOptions[] Kinds =
    [
        Plain,
        Plain with { Temperature = 0.8f },
        Plain with { Temperature = 1, TopP = 0.9f },
        Plain with { RepetitionPenalty = 1.2f },
        Plain with { LogitBias = new Dictionary<int, float> { [9] = 1 } },
    ];

    [SetUp]
    public void Require() => CudaEmulator.Require();

    [TearDown]
    public void NothingWentWrongUnseen() => Assert.That(CudaEmulator.Problems(), Is.Empty);

    /// <summary>More texts than places, in fewer pages than they need, some cancelled on their way.</summary>
    [Test]
    public async Task CompleteAsync_ManyInASmallPool_EachWritesItsPlainText([Values(1, 4, 16)] int texts)
    {
        using var folder = new TestFolder(dtype: DType.BF16, poisoned: false);
        using var engine = InferenceEngine.Load(folder.Path, Options(texts));
        var requests = Enumerable.Range(0, texts + (texts / 4)).Select(i => (Prompt: Prompt(i), Options: Kinds[i % Kinds.Length] with { Seed = (ulong)i, MaxTokens = 10 + (i % 9) })).ToArray();
        List<GenerationResult> plain = [];
        foreach (var (prompt, options) in requests)
        {
            plain.Add(await engine.CompleteAsync(prompt, options));
        }

        var walks = requests.Select((request, i) => new Branches([.. request.Prompt, .. plain[i].Ids])).ToArray();
        var running = requests.Select((request, i) => engine.CompleteAsync(request.Prompt, request.Options with { Speculation = walks[i].Alone(7) })).ToArray();
        var cancelled = requests.Take(texts / 4).Select(request => Cancelled(engine, request.Prompt, request.Options with { MaxTokens = 60, Speculation = new Branches(request.Prompt).Alone(7) })).ToArray();
        var fast = await Task.WhenAll(running);
        await Task.WhenAll(cancelled);

        for (var i = 0; i < fast.Length; i++)
        {
            Assert.That(fast[i].Ids, Is.EqualTo(plain[i].Ids), $"text {i}");
            Assert.That(fast[i].LogProbs.Select(token => token.Chosen), Is.EqualTo(plain[i].LogProbs.Select(token => token.Chosen)), $"text {i}, bit for bit");
            Assert.That(fast[i].Speculation.Accepted, Is.Positive);
            Assert.That(i % Kinds.Length < 2 || walks[i].Moved == 0, $"the host walks along text {i}");
        }

        Assert.That(walks.Sum(walk => walk.Moved), Is.GreaterThan(texts), "nodes that the device moved");
        Assert.That(engine.Scheduler.Preemptions, texts == 16 ? Is.Positive : Is.Zero);
    }

    /// <summary>The text ends within the path that the device has gone, and a beginning of it is found again by the next one.</summary>
    [Test]
    public async Task CompleteAsync_AStopWithinThePath_EndsThereAndLeavesPagesThatAreRight()
    {
        using var folder = new TestFolder(dtype: DType.BF16, poisoned: false);
        using var engine = InferenceEngine.Load(folder.Path, Options(1));
        var prompt = Prompt(3);
        var whole = await engine.CompleteAsync(prompt, Plain with { MaxTokens = 80 });
        var right = new Branches([.. prompt, .. whole.Ids]);
        foreach (var count in new[] { 5, 33, 34, 35 })
        {
            var cut = await engine.CompleteAsync(prompt, Plain with { MaxTokens = count, Speculation = right.Alone(12) });
            Assert.That(cut.Ids, Is.EqualTo(whole.Ids.Take(count)));
        }

        var stop = whole.Ids[40];
        var stopped = await engine.CompleteAsync(prompt, Plain with { MaxTokens = 80, IgnoreEndOfText = false, StopIds = [stop], Speculation = right.Alone(12) });
        Assert.That(stopped.Ids, Is.EqualTo(whole.Ids.Take(whole.Ids.ToList().IndexOf(stop) + 1)));

        var salted = Plain with { CacheSalt = "what paths were moved into" };
        await engine.CompleteAsync(prompt, salted with { MaxTokens = 60, Speculation = right.Alone(12) });
        var goesOn = await engine.CompleteAsync([.. prompt, .. whole.Ids.Take(60)], salted with { MaxTokens = 20 });
        Assert.That(goesOn.CachedTokens, Is.EqualTo(64));
        Assert.That(goesOn.Ids, Is.EqualTo(whole.Ids.Skip(60)));
        Assert.That(goesOn.LogProbs.Select(token => token.Chosen), Is.EqualTo(whole.LogProbs.Skip(60).Select(token => token.Chosen)), "bit for bit");
    }

    private static int[] Prompt(int number) => [.. Enumerable.Range(0, 5 + (number * 7 % 40)).Select(i => ((i * 13) + number) % 250)];

    /// <summary>Goes away after the first piece.</summary>
    private static async Task Cancelled(InferenceEngine engine, int[] prompt, GenerationOptions options)
    {
        using var gone = new CancellationTokenSource();
        try
        {
            await foreach (var piece in engine.GenerateAsync(prompt, options, gone.Token))
            {
                await gone.CancelAsync();
            }

            Assert.Fail("the text went on");
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static EngineOptions Options(int texts) => new()
    {
        Backend = BackendKind.Cuda,
        Device = 0,
        MaxContext = 160,
        KvTokens = texts == 16 ? 900 : 160 * texts,
        MaxSequences = texts,
        MaxTreeNodes = 128,
        PrefillChunk = 40,
    };

    /// <summary>Knows a text, and proposes it with wrong siblings in front of every token, so that accepted nodes do not lie in their places.</summary>
    private sealed class Branches(int[] text) : IDrafterSource, IDrafter
    {
        public string Name => "branches";

        /// <summary>Accepted nodes that the device had moved when the walk came to them.</summary>
        public int Moved { get; private set; }

        public SpeculationOptions Alone(int nodes) => new() { Drafters = [], Sources = [this], MaxNodes = nodes, Unplanned = true };

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree)
        {
            for (var (node, depth) = (0, 0); node >= 0 && depth < context.MaxDepth && context.Text.Length + depth < text.Length; depth++)
            {
                var token = text[context.Text.Length + depth];
                tree.Add(node, (token + 1) % 300, rank: 1, confidence: 1);
                node = tree.Add(node, token, confidence: 1);
            }
        }

        public void Observe(RoundOutcome outcome)
        {
            var walk = (WalkResult)outcome;
            for (var i = 0; i < Math.Min(walk.WalkedPath.Length, walk.CommittedPath.Length); i++)
            {
                Moved += walk.CommittedPath[i] == i ? 0 : 1;
            }
        }

        public void Dispose()
        {
        }
    }
}
