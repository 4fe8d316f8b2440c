using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Rounds;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Recycling;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Speculation.Planning;

namespace NativeSpec.Tests.Engine.Rounds;

public sealed class RoundTests
{
    private const int Chunk = 16;

    private static readonly GenerationOptions Options = new()
    {
        Temperature = 0.8f,
        TopK = 50,
        TopP = 0.95f,
        MinP = 0.01f,
        RepetitionPenalty = 1.1f,
        PresencePenalty = 0.1f,
        FrequencyPenalty = 0.1f,
        StopStrings = ["\u0001\u0002 never"],
    };

    private SyntheticModel _weights = null!;
    private ModelRun _run = null!;

    [SetUp]
    public void Load()
    {
        _weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        _run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 2 }), _weights.Config, _weights.Tensors, sharesPrefixes: true);
    }

    [TearDown]
    public void Unload()
    {
        _run.Dispose();
        _weights.Dispose();
    }

    /// <summary>The hot path: forest, forward, sampling with every filter and penalty, stop strings, commit.</summary>
    [Test]
    public void Run_DecodingOnceWarm_AllocatesNothing([Values(0f, 0.8f)] float temperature)
    {
        var core = Core();
        List<Sequence> sequences = [.. Enumerable.Range(0, 3).Select(i => Admitted(core, [1, 2, 3 + i], Options with { Temperature = temperature }, seed: i).Sequence)];
        var round = new Round(_run.Model.Limits, _run.Model.Forward, core, Chunk);
        Run(round, sequences, 60);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(round, sequences, 20);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(sequences.Select(sequence => sequence.IsFinished), Has.All.False);
    }

    [Test]
    public void Run_AShortPromptBehindALongOne_BeginsItsTextInTheFirstRound()
    {
        var core = Core();
        List<Sequence> sequences = [Admitted(core, new int[200], Options).Sequence, Admitted(core, [5, 6, 7, 8, 9], Options).Sequence];
        var round = new Round(_run.Model.Limits, _run.Model.Forward, core, Chunk);

        Run(round, sequences, 1);

        Assert.That(sequences[1].OutputTokens, Is.EqualTo(1));
        Assert.That(sequences[0].PromptRemaining, Is.EqualTo(200 - (Chunk - 5)));

        Run(round, sequences, 3); // a sequence that decodes takes one of the chunk's rows
        Assert.That(sequences[1].OutputTokens, Is.GreaterThanOrEqualTo(4));
        Assert.That(sequences[0].PromptRemaining, Is.EqualTo(200 - (Chunk - 5) - (3 * (Chunk - 1))));
    }

    /// <summary>Whenever the pages are given back, in the prompt or in the text, what comes after is the same, and the statistics go on.</summary>
    [Test]
    public void Run_AfterItsPagesWereGivenBack_WritesTheSameText([Values] bool speculates)
    {
        var options = Options with { Speculation = speculates ? new() { Unplanned = true, MaxNodes = 7 } : SpeculationOptions.Off, MaxTokens = 40, TopLogProbs = 2, Temperature = 0.3f };
        var expected = Generate(options, givesBackAfter: -1);
        Assert.That(expected.Ids, Has.Count.EqualTo(40));
        for (var round = 0; round < expected.Timings.Rounds + 3; round++)
        {
            var actual = Generate(options, round);
            Assert.That(actual.Ids, Is.EqualTo(expected.Ids), $"given back after round {round}");
            Assert.That(actual.LogProbs.Select(p => p.Chosen), Is.EqualTo(expected.LogProbs.Select(p => p.Chosen)));
            Assert.That((actual.Text, actual.Speculation.Rounds, actual.Speculation.Accepted), Is.EqualTo((expected.Text, expected.Speculation.Rounds, expected.Speculation.Accepted)));
        }

        Assert.That(_run.Cache.FreePages, Is.EqualTo(_run.Cache.TotalPages));
    }

    private static void Run(Round round, List<Sequence> sequences, int times)
    {
        for (var i = 0; i < times; i++)
        {
            round.Run(sequences, CancellationToken.None);
        }
    }

    private static SpeculationCore Core(params IDrafterSource[] drafters) => new(drafters, new CostCurve([1, 2], [1e-3, 1e-3]), 300, 8, new SimulatedClock());

    private GenerationResult Generate(GenerationOptions options, int givesBackAfter)
    {
        var core = Core(new PromptLookupDrafter(), new TokenRecyclingDrafter());
        using var test = Admitted(core, [.. Enumerable.Range(0, 35).Select(i => i % 9)], options, 7);
        var sequence = test.Sequence;
        var round = new Round(_run.Model.Limits, _run.Model.Forward, core, Chunk);
        for (var i = 0; !sequence.IsFinished; i++)
        {
            round.Run([sequence], CancellationToken.None);
            if (i == givesBackAfter)
            {
                sequence.GiveBack();
                sequence.Admit(_run.Open());
            }
        }

        test.Deliver();
        return test.Result ?? throw sequence.Error!;
    }

    private TestSequence Admitted(SpeculationCore core, int[] prompt, GenerationOptions options, int seed = 1)
    {
        var sequence = new TestSequence(core, new Chooser(300), prompt, options with { Seed = (ulong)seed, MaxTokens = options.MaxTokens ?? 200 }, Chunk);
        sequence.Sequence.Admit(_run.Open());
        return sequence;
    }
}
