using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Engine.Rounds;

/// <summary>A draft model in an engine: asked once a round for all requests, reading long texts in pieces between which others write.</summary>
public sealed class BatchedDraftingTests
{
    private const int Chunk = 128;
    private const int Depth = 4;

    private static readonly int[] LongPrompt = [.. Enumerable.Range(0, 6000).Select(i => i * 7 % 250)];

    private static readonly GenerationOptions Plain = new() { MaxTokens = 30, Temperature = 0, IgnoreEndOfText = true, Speculation = SpeculationOptions.Off };

    private static readonly SpeculationOptions Draft = new() { Drafters = ["draft"], Unplanned = true };

    private TestFolder _folder = null!;
    private IBackend _backend = null!;
    private DraftModelSource _draft = null!;
    private Recorder _recorder = null!;
    private InferenceEngine _engine = null!;

    [SetUp]
    public void Load()
    {
        _folder = new TestFolder(maxPositions: 8192);
        _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        _draft = new DraftModelSource(
            _folder.Path, Tokenizer.Load(_folder.Path), _backend, _ => new DraftRoom(MaxSequences: 8, MaxContext: 8192, KvTokens: 16384), new DraftModelOptions { Depth = Depth, StopBelow = 0 });
        _recorder = new Recorder(_draft);
        _engine = InferenceEngine.Load(_folder.Path, new EngineOptions
        {
            Drafters = [_recorder],
            PrefillChunk = Chunk,
            MaxSequences = 8,
            CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }),
        });
    }

    [TearDown]
    public void Release()
    {
        _engine.Dispose();
        _recorder.Dispose();
        _draft.Dispose();
        _backend.Dispose();
        _folder.Dispose();
    }

    /// <summary>A neighbour that decodes takes part in every round. Between two pieces that the draft reads it must have had one, and a round's prompt
    /// rows and the draft's together are no more than a round's prompt rows are without it.</summary>
    [Test]
    public async Task GenerateAsync_ADraftThatReadsALongText_LetsANeighbourWriteBetweenItsPieces()
    {
        using var leaves = new CancellationTokenSource();
        var rounds = new RoundCounter();
        var neighbour = _engine.CompleteAsync([1, 2, 3], Plain with { MaxTokens = 8000, Speculation = new() { Drafters = [], Sources = [rounds], Unplanned = true } }, leaves.Token);
        List<int> roundOfRead = [];
        _recorder.Reading += () => roundOfRead.Add(rounds.Count);

        var result = await _engine.CompleteAsync(LongPrompt[..600], Plain with { MaxTokens = 300, Speculation = Draft });
        await leaves.CancelAsync();
        Assert.CatchAsync<OperationCanceledException>(() => neighbour);

        Assert.That(_recorder.RowsOfReads.Sum(), Is.GreaterThan(550));
        Assert.That(_recorder.RowsOfReads, Has.All.InRange(1, Chunk));
        Assert.That(roundOfRead.Distinct().Count(), Is.EqualTo(roundOfRead.Count), "one piece a round");
        Assert.That(result.Speculation.Drafted, Is.GreaterThan(0), "then it drafts");
        Assert.That(result.Ids, Is.EqualTo((await _engine.CompleteAsync(LongPrompt[..600], Plain with { MaxTokens = 300 })).Ids));
    }

    [Test]
    public async Task CompleteAsync_CancelledWhileTheDraftReads_LeavesThePieceAndFreesItsPages()
    {
        using var leaves = new CancellationTokenSource();
        _recorder.Reading += () =>
        {
            if (_recorder.RowsOfReads.Count == 2)
            {
                leaves.Cancel();
            }
        };

        Assert.CatchAsync<OperationCanceledException>(() => _engine.CompleteAsync(LongPrompt, Plain with { Speculation = Draft }, leaves.Token));

        var next = await _engine.CompleteAsync([1, 2, 3], Plain with { Speculation = Draft });
        Assert.That(_recorder.RowsOfReads, Is.EqualTo(new[] { Chunk, Chunk, 0 }), "the third piece was left in its forward pass");
        Assert.That(next.Ids, Is.EqualTo((await _engine.CompleteAsync([1, 2, 3], Plain)).Ids));
        Assert.That(_draft.Cache.FreePages, Is.EqualTo(_draft.Cache.TotalPages));
    }

    [Test]
    public async Task CompleteAsync_SeveralAtOnce_AreDraftedForInOnePassALevel([Values(1, 3, 8)] int count, [Values] bool samples)
    {
        var options = Plain with { Temperature = samples ? 0.8f : 0, Seed = 3 };
        var prompts = Enumerable.Range(0, count).Select(i => new[] { 5 + i, 6, 7 }).ToArray();
        var all = await Task.WhenAll(prompts.Select(prompt => _engine.CompleteAsync(prompt, options with { Speculation = Draft with { SampleDrafts = samples } })));

        Assert.That(_recorder.PassesOfProposals, Has.All.InRange(1, Depth));
        Assert.That(_recorder.Served, Is.EqualTo(all.Sum(result => result.Speculation.Drafters.Single().Rounds)));
        Assert.That(all.Select(result => result.Speculation.Drafters.Single().Proposed), Has.All.GreaterThan(0));
        Assert.That(all.Select(result => result.Speculation.Drafters.Single().Time), Has.All.GreaterThan(TimeSpan.Zero));
        Assert.That(_recorder.PassesOfProposals, count == 1 ? Has.Count.EqualTo(_recorder.Served) : Has.Count.LessThan(_recorder.Served));
        for (var i = 0; i < count && !samples; i++)
        {
            Assert.That(all[i].Ids, Is.EqualTo((await _engine.CompleteAsync(prompts[i], options)).Ids));
        }
    }

    /// <summary>Passes everything on to the draft and notes what it did. The fixture disposes the draft.</summary>
    private sealed class Recorder(DraftModelSource draft) : BatchDrafterSource
    {
        public event Action? Reading;

        public List<long> RowsOfReads { get; } = [];

        public List<long> PassesOfProposals { get; } = [];

        public int Served { get; private set; }

        public override string Name => draft.Name;

        public override DraftKind Kind => draft.Kind;

        public override IDrafter Start(ReadOnlyMemory<int> prompt) => draft.Start(prompt);

        public override int Owed(in DraftItem item) => draft.Owed(item);

        public override void Read(DraftBatch batch, int rows, CancellationToken cancellationToken)
        {
            Reading?.Invoke();
            var before = draft.Computed.Rows;
            try
            {
                draft.Read(batch, rows, cancellationToken);
            }
            finally
            {
                RowsOfReads.Add(draft.Computed.Rows - before);
            }
        }

        public override void Propose(DraftBatch batch, CancellationToken cancellationToken)
        {
            var before = draft.Computed.Forwards;
            draft.Propose(batch, cancellationToken);
            if (draft.Computed.Forwards > before) // not where no text goes on deep enough
            {
                PassesOfProposals.Add(draft.Computed.Forwards - before);
            }

            Served += batch.Count;
        }
    }

    /// <summary>Counts the rounds that a request takes part in.</summary>
    private sealed class RoundCounter : IDrafterSource, IDrafter
    {
        public int Count { get; private set; }

        public string Name => "rounds";

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree)
        {
        }

        public void Observe(RoundOutcome outcome) => Count++;

        public void Dispose()
        {
        }
    }
}
