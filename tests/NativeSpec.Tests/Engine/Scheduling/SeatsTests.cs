using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Scheduling;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Engine.Scheduling;

/// <summary>Who gives pages back to whom.</summary>
public sealed class SeatsTests
{
    /// <summary>The younger one's reader was behind when turns were taken and reads before pages are given out: then it is nobody to park, and no turn is its,
    /// but the older one keeps its pages all the same.</summary>
    [Test]
    public void MakeRoom_AYoungerOneHasReadMeanwhile_GivesItsPagesToTheOlder()
    {
        using var backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        using var cache = new KvCache(backend, new KvShape(Layers: 1, 3 * RowBatch.PageSize, Heads: 1, KvHeads: 1, HeadDim: 2), 8);
        var core = new SpeculationCore([], new CostCurve([1], [1]), vocabSize: 300, maxNodes: 4, TimeProvider.System);
        var options = new GenerationOptions { MaxTokens = 8, Temperature = 0 };
        var prompt = new int[RowBatch.PageSize - core.MaxNodesOf(options.Speculation)]; // a page with the candidates of a round
        using TestSequence older = new(core, new Chooser(300), prompt, options), younger = new(core, new Chooser(300), prompt, options, mostUnread: 2);
        var seats = new Seats(cache, maxSequences: 2);
        foreach (var (sequence, arrival) in new[] { (older.Sequence, 1), (younger.Sequence, 2) })
        {
            sequence.Arrival = arrival;
            sequence.Admit(seats.TryOpen(sequence)!);
            seats.Take(sequence);
        }

        using var rest = cache.TryOpen(RowBatch.PageSize);
        ((ITextWriter)older.Sequence).Take(65, null!, 0); // now it needs another page, and there is none
        younger.Sequence.Pieces.Write(new GenerationPiece("a", [65], [], null));
        younger.Sequence.Pieces.Write(new GenerationPiece("a", [65], [], null));
        seats.TakeTurns();
        Assert.That(seats.Turn, Is.EqualTo(new[] { older.Sequence }));
        younger.Sequence.Pieces.CountRead();

        seats.MakeRoom(logger: null);

        Assert.That(seats.Turn, Is.EqualTo(new[] { older.Sequence }));
        Assert.That(seats.Active, Is.EqualTo(new[] { older.Sequence }));
        Assert.That(seats.Waiting, Is.EqualTo(new[] { younger.Sequence }));
        Assert.That(seats.Preemptions, Is.EqualTo(1));
        Assert.That(cache.FreePages, Is.Zero);
    }
}
