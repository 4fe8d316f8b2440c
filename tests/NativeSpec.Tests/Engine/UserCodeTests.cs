using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;

namespace NativeSpec.Tests.Engine;

/// <summary>Drafters and traces are anybody's code: whatever they do, their own request ends and nothing else does.</summary>
public sealed class UserCodeTests
{
    private static readonly GenerationOptions Options = new()
    {
        MaxTokens = 24,
        Seed = 3,
        Temperature = 0,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    private static readonly Call[] Calls = [.. Enum.GetValues<Call>().Except([Call.None, Call.DisposeSource])];

    private TestFolder _folder = null!;
    private InferenceEngine _engine = null!;

    /// <summary>Where a drafter throws.</summary>
    public enum Call
    {
        None,
        Start,
        StartsNothing,
        Kind,
        ReadPrompt,
        Propose,
        ProposeLater,
        Observe,
        ObserveLater,
        Dispose,
        DisposeSource,
        Owed,
        Read,
    }

    [SetUp]
    public void Load()
    {
        _folder = new TestFolder();
        _engine = InferenceEngine.Load(_folder.Path, new EngineOptions
        {
            CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }),
            DraftModels = [_folder.Path],
            DraftOptions = new DraftModelOptions { Depth = 3, StopBelow = 0 },
            MaxSequences = 4,
        });
    }

    [TearDown]
    public void Unload()
    {
        var cache = _engine.Cache;
        _engine.Dispose();
        Assert.That(cache.FreePages, Is.EqualTo(cache.TotalPages), "no page is lost");
        _folder.Dispose();
    }

    /// <summary>More often than there are places for requests, so that whatever a failure leaves open would show.</summary>
    [Test]
    public async Task ADrafterThatThrows_EndsItsRequestAlone([ValueSource(nameof(Calls))] Call call, [Values] bool together)
    {
        var plain = await _engine.CompleteAsync("hello hello", Options with { Speculation = SpeculationOptions.Off });
        var good = new Drafter(Call.None);
        for (var i = 0; i < 6; i++)
        {
            IDrafterSource bad = together ? new Together(call) : new Drafter(call);
            var neighbours = Enumerable.Range(0, 2).Select(_ => _engine.CompleteAsync("hello hello", Options)).ToArray();
            var request = _engine.CompleteAsync("hello hello", Options with { Speculation = new() { Sources = [good, bad], Unplanned = true } });

            var fails = call is not Call.Dispose && (together || call is not (Call.Owed or Call.Read));
            if (fails)
            {
                Assert.That(async () => await request, call == Call.StartsNothing ? Throws.InvalidOperationException : Throws.InstanceOf<DivideByZeroException>());
            }
            else
            {
                Assert.That((await request).Ids, Is.EqualTo(plain.Ids), "the text was there when it was disposed");
            }

            foreach (var neighbour in await Task.WhenAll(neighbours))
            {
                Assert.That(neighbour.Ids, Is.EqualTo(plain.Ids));
            }
        }

        Assert.That(() => good.Open, Is.Zero.After(10_000, 10), "what was started is disposed, whatever the others did");
        Assert.That((await _engine.CompleteAsync("hello hello", Options)).Ids, Is.EqualTo(plain.Ids), "the engine serves on, its draft model too");
    }

    [Test]
    public async Task ATraceThatCannotBeWritten_EndsItsRequestAlone()
    {
        var plain = await _engine.CompleteAsync("hello hello", Options with { Speculation = SpeculationOptions.Off });
        using var trace = new SpeculationTrace(new FullDisk(), _engine.Tokenizer);
        var neighbour = _engine.CompleteAsync("hello hello", Options);
        Assert.ThrowsAsync<IOException>(() => _engine.CompleteAsync("hello hello", Options with { Speculation = new() { Trace = trace } }));
        Assert.That((await neighbour).Ids, Is.EqualTo(plain.Ids));
    }

    /// <summary>It adds as much as it can wherever it can, also at times and in trees that are not its own.</summary>
    [Test]
    public async Task ADrafterThatKeepsTreesAndAddsToThemLater_ChangesNothing()
    {
        var plain = await _engine.CompleteAsync("hello hello", Options with { Speculation = SpeculationOptions.Off });
        var keeper = new Keeper();
        var neighbour = _engine.CompleteAsync("hello hello", Options with { Speculation = new() { Sources = [keeper] } });
        var request = await _engine.CompleteAsync("hello hello", Options with { Speculation = new() { Sources = [keeper], Unplanned = true, MaxNodes = 5 } });
        Assert.That(request.Ids, Is.EqualTo(plain.Ids));
        Assert.That((await neighbour).Ids, Is.EqualTo(plain.Ids));
        Assert.That(keeper.AddedLater, Is.Zero);
        Assert.That(keeper.Probes, Is.Positive);
    }

    /// <summary>The source of the first drafter throws; the second one, the files and the memory are free all the same, and the call after the first does nothing.</summary>
    [Test]
    [Platform("Linux")]
    public void Dispose_ASourceThatThrows_FreesAllTheRest()
    {
        using var folder = new TestFolder();
        Drafter first = new(Call.DisposeSource), second = new(Call.None);
        var engine = InferenceEngine.Load(folder.Path, new EngineOptions { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }), Drafters = [first, second] });
        Assert.That(engine.Dispose, Throws.InstanceOf<DivideByZeroException>());
        Assert.That(engine.Dispose, Throws.Nothing);
        Assert.That((first.Disposed, second.Disposed), Is.EqualTo((1, 1)));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain(folder.Path));
    }

    /// <summary>A drafter that throws where it is told to.</summary>
    private sealed class Drafter(Call call) : IDrafterSource
    {
        private int _open;

        public int Open => Volatile.Read(ref _open);

        public int Disposed { get; private set; }

        public string Name => $"throws-{call}";

        public DraftKind Kind => call == Call.Kind ? throw new DivideByZeroException() : DraftKind.Text;

        public IDrafter Start(ReadOnlyMemory<int> prompt)
        {
            Throw(call == Call.Start);
            Interlocked.Increment(ref _open);
            return call == Call.StartsNothing ? null! : new Session(call, () => Interlocked.Decrement(ref _open));
        }

        public void Dispose()
        {
            Disposed++;
            Throw(call == Call.DisposeSource);
        }
    }

    private sealed class Together(Call call) : BatchDrafterSource
    {
        public override string Name => $"throws-together-{call}";

        public override DraftKind Kind => call == Call.Kind ? throw new DivideByZeroException() : DraftKind.Computed;

        public override IDrafter Start(ReadOnlyMemory<int> prompt)
        {
            Throw(call == Call.Start);
            return call == Call.StartsNothing ? null! : new Session(call, () => { });
        }

        public override void Propose(DraftBatch batch, CancellationToken cancellationToken)
        {
            for (var i = 0; i < batch.Count; i++)
            {
                batch[i].Session.Propose(batch[i].Context, batch[i].Tree);
            }
        }

        public override int Owed(in DraftItem item)
        {
            Throw(call == Call.Owed);
            return call == Call.Read ? 1 : 0;
        }

        public override void Read(DraftBatch batch, int rows, CancellationToken cancellationToken) => Throw(call == Call.Read);
    }

    private sealed class Session(Call call, Action disposed) : IDrafter
    {
        private int _proposed;
        private int _observed;

        public void ReadPrompt(ReadOnlySpan<int> prompt) => Throw(call == Call.ReadPrompt);

        public void Propose(DraftContext context, DraftTree tree)
        {
            tree.Add(0, 7);
            Throw(call == Call.Propose || (call == Call.ProposeLater && ++_proposed == 3));
        }

        public void Observe(RoundOutcome outcome) => Throw(call == Call.Observe || (call == Call.ObserveLater && ++_observed == 3));

        public void Dispose()
        {
            disposed();
            Throw(call == Call.Dispose);
        }
    }

    private sealed class Keeper : IDrafterSource, IDrafter
    {
        private readonly List<DraftTree> _trees = [];

        public string Name => "keeper";

        public int AddedLater { get; private set; }

        public int Probes { get; private set; }

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree)
        {
            AddLater(tree);
            _trees.Add(tree);
            for (var i = 0; i < 40; i++)
            {
                var node = tree.Add(tree.Count - 1, i, 0, 0.01f);
                Probes += tree.AddProbe(node < 0 ? 0 : node, i) < 0 ? 0 : 1;
            }
        }

        public void Observe(RoundOutcome outcome) => AddLater(null);

        public void Dispose() => AddLater(null);

        private void AddLater(DraftTree? open)
        {
            foreach (var tree in _trees.Where(tree => tree != open))
            {
                AddedLater += tree.Add(0, 200) < 0 && tree.AddProbe(0, 201) < 0 ? 0 : 1;
            }
        }
    }

    private sealed class FullDisk : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("no space left on device");
    }

    private static void Throw(bool now)
    {
        if (now)
        {
            throw new DivideByZeroException();
        }
    }
}
