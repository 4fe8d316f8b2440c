using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;

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

    /// <summary>First those that the device walks; then all of them, more than there are places and pages for at once, some cancelled on their way.</summary>
    [Test]
    public async Task CompleteAsync_ManyInASmallPool_EachWritesItsPlainText([Values(1, 4, 16)] int texts)
    {
        using var folder = new TestFolder(dtype: DType.BF16, poisoned: false);
        HostMoves? moves = null;
        using var engine = InferenceEngine.Load(folder.Path, Options(texts) with { CreateBackend = _ => moves = new HostMoves(CudaEmulator.Create()) });
        var requests = Enumerable.Range(0, texts + (texts / 4)).Select(i => (Prompt: Prompt(i), Options: Kinds[i % Kinds.Length] with { Seed = (ulong)i, MaxTokens = 16 + (i % 5) })).ToArray();
        List<GenerationResult> plain = [];
        foreach (var (prompt, options) in requests)
        {
            plain.Add(await engine.CompleteAsync(prompt, options));
        }

        var walks = requests.Select((request, i) => new Branches([.. request.Prompt, .. plain[i].Ids])).ToArray();
        int[] all = [.. Enumerable.Range(0, requests.Length)], onDevice = [.. all.Where(i => i % Kinds.Length < 2)];
        await Write(onDevice);
        Assert.That((walks.Sum(walk => walk.OutOfPlace) > texts, moves!.Rows), Is.EqualTo((true, 0)), "nodes of paths that did not lie in their places, and those that the host moved");

        var cancelled = requests.Take(texts / 4).Select(request => Cancelled(engine, request.Prompt, request.Options with { MaxTokens = 60, Speculation = new Branches(request.Prompt).Alone })).ToArray();
        await Write(all);
        await Task.WhenAll(cancelled);
        Assert.That(moves.Rows, texts > 1 ? Is.Positive : Is.Zero);

        async Task Write(int[] which)
        {
            var fast = await Task.WhenAll(which.Select(i => engine.CompleteAsync(requests[i].Prompt, requests[i].Options with { Speculation = walks[i].Alone })));
            foreach (var (i, result) in which.Zip(fast))
            {
                Assert.That(result.Ids, Is.EqualTo(plain[i].Ids), $"text {i}");
                Assert.That(result.LogProbs.Select(token => token.Chosen), Is.EqualTo(plain[i].LogProbs.Select(token => token.Chosen)), $"text {i}, bit for bit");
                Assert.That(result.Speculation.Accepted, Is.Positive);
            }
        }
    }

    /// <summary>Four texts at once grow out of a pool that holds two or three of them: some give their pages back between two rounds that the device walks, and are computed again.</summary>
    [Test]
    public async Task CompleteAsync_TextsThatGiveTheirPagesBack_WriteTheirPlainText()
    {
        using var folder = new TestFolder(dtype: DType.BF16, poisoned: false);
        using var engine = InferenceEngine.Load(folder.Path, Options(4) with { Backend = BackendKind.Cuda, Device = 0, KvTokens = 160, MaxTreeNodes = 36 });
        var requests = Enumerable.Range(0, 8).Select(i => (Prompt: Prompt(i), Options: Kinds[i % 2] with { Seed = (ulong)i, MaxTokens = 96 })).ToArray();
        List<GenerationResult> plain = [];
        foreach (var (prompt, options) in requests)
        {
            plain.Add(await engine.CompleteAsync(prompt, options));
        }

        Assert.That(engine.Scheduler.Preemptions, Is.Zero);
        var walks = requests.Select((request, i) => new Branches([.. request.Prompt, .. plain[i].Ids])).ToArray();
        var together = await Task.WhenAll(requests.Select((request, i) => engine.CompleteAsync(request.Prompt, request.Options with { Speculation = walks[i].Alone })));
        Assert.That(engine.Scheduler.Preemptions, Is.Positive, "the pool is too large for this test");
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.That(together[i].Ids, Is.EqualTo(plain[i].Ids), $"text {i}");
            Assert.That(together[i].LogProbs.Select(token => token.Chosen), Is.EqualTo(plain[i].LogProbs.Select(token => token.Chosen)), $"text {i}, bit for bit");
            Assert.That(together[i].Speculation.Accepted, Is.Positive);
        }
    }

    /// <summary>The text ends within the path that the device has gone, and a beginning of it is found again by the next one.</summary>
    [Test]
    public async Task CompleteAsync_AStopWithinThePath_EndsThereAndLeavesPagesThatAreRight()
    {
        using var folder = new TestFolder(dtype: DType.BF16, poisoned: false);
        using var engine = InferenceEngine.Load(folder.Path, Options(1) with { Backend = BackendKind.Cuda, Device = 0 });
        var prompt = Prompt(3);
        var whole = await engine.CompleteAsync(prompt, Plain with { MaxTokens = 80 });
        var right = new Branches([.. prompt, .. whole.Ids], depth: 6);
        foreach (var count in new[] { 5, 33, 34, 35 })
        {
            var cut = await engine.CompleteAsync(prompt, Plain with { MaxTokens = count, Speculation = right.Alone });
            Assert.That(cut.Ids, Is.EqualTo(whole.Ids.Take(count)));
        }

        var stop = whole.Ids[40];
        var stopped = await engine.CompleteAsync(prompt, Plain with { MaxTokens = 80, IgnoreEndOfText = false, StopIds = [stop], Speculation = right.Alone });
        Assert.That(stopped.Ids, Is.EqualTo(whole.Ids.Take(whole.Ids.ToList().IndexOf(stop) + 1)));

        var salted = Plain with { CacheSalt = "what paths were moved into" };
        await engine.CompleteAsync(prompt, salted with { MaxTokens = 60, Speculation = right.Alone });
        var goesOn = await engine.CompleteAsync([.. prompt, .. whole.Ids.Take(60)], salted with { MaxTokens = 20 });
        Assert.That(goesOn.CachedTokens, Is.EqualTo(64));
        Assert.That(goesOn.Ids, Is.EqualTo(whole.Ids.Skip(60)));
        Assert.That(goesOn.LogProbs.Select(token => token.Chosen), Is.EqualTo(whole.LogProbs.Skip(60).Select(token => token.Chosen)), "bit for bit");
    }

    private static int[] Prompt(int number) => [.. Enumerable.Range(0, 38 + (number * 7 % 16)).Select(i => ((i * 13) + number) % 250)];

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
        MaxContext = 160,
        KvTokens = texts == 16 ? 900 : 160 * texts,
        MaxSequences = texts,
        MaxTreeNodes = 160,
        PrefillChunk = 40,
    };

    /// <summary>Knows a text, and proposes it with wrong siblings in front of every token, so that accepted nodes do not lie in their places. All of that is computed.</summary>
    private sealed class Branches(int[] text, int depth = 4) : IDrafterSource, IDrafter
    {
        public string Name => "branches";

        /// <summary>Accepted nodes whose keys and values had to be moved, but for those of last rounds.</summary>
        public int OutOfPlace { get; private set; }

        public SpeculationOptions Alone => new() { Drafters = [], Sources = [this], MaxNodes = 1 + (2 * depth), Unplanned = true };

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree)
        {
            var most = Math.Min(Math.Min(depth, context.MaxDepth), text.Length - context.Text.Length);
            for (var (node, i) = (0, 0); node >= 0 && i < most; i++)
            {
                var token = text[context.Text.Length + i];
                tree.Add(node, (token + 1) % 300, rank: 1, confidence: 1);
                node = tree.Add(node, token, confidence: 1);
            }
        }

        public void Observe(RoundOutcome outcome)
        {
            var path = ((WalkResult)outcome).CommittedPath;
            for (var i = 0; i < path.Length; i++)
            {
                OutOfPlace += path[i] == i ? 0 : 1;
            }
        }

        public void Dispose()
        {
        }
    }

    /// <summary>Counts the rows that the host has moved.</summary>
    private sealed class HostMoves(CudaBackend inner) : IBackend
    {
        public int Rows { get; private set; }

        public string Name => inner.Name;

        public string Description => inner.Description;

        public long MemoryBytes => inner.MemoryBytes;

        public int PromptRows => inner.PromptRows;

        public long KvBytesPerRow(in KvShape shape) => inner.KvBytesPerRow(shape);

        public BackendVector ImportVector(TensorView vector) => inner.ImportVector(vector);

        public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases) => inner.ImportWeight(parts, biases);

        public BackendKv AllocateKv(in KvShape shape) => inner.AllocateKv(shape);

        public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
        {
            Rows += from.Length;
            inner.MoveKvRows(kv, from, to);
        }

        public IForwardProgram Compile(ForwardPlan plan) => inner.Compile(plan);

        public void Dispose() => inner.Dispose();
    }
}
