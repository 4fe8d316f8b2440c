using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Planning;
using NativeSpec.Tests.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Engine;

/// <summary>Production rounds in simulated time. A forward takes <see cref="Fixed"/> for the weights and <see cref="PerRow"/> for each
/// row; the engine begins with a curve that takes a row of a prompt for a third dearer than it is, as its probe's do.</summary>
public sealed class FairRoundsTests
{
    private const int Vocab = 40, Long = 3000, Short = 30;
    private const double Fixed = 0.008, PerRow = 0.0012;

    private static readonly int[] Points = [1, 2, 4, 8, 16, 32, 64];
    private static readonly ScriptedTarget Target = ScriptedTarget.Markov(Vocab, order: 2);
    private static readonly GenerationOptions Greedy = new() { Temperature = 0, MaxTokens = 2000, Speculation = SpeculationOptions.Off };

    private SimulatedClock _clock = null!;
    private ScriptedRounds _rounds = null!;

    [SetUp]
    public void Begin()
    {
        _clock = new SimulatedClock();
        var core = new SpeculationCore([], new CostCurve(Points, [.. Points.Select(n => Seconds(n) * 4 / 3)]), Vocab, maxNodes: 8, _clock);
        _rounds = new ScriptedRounds(Target.Logits, core, maxSequences: 8, prefillChunk: 256) { BeforeForward = (rows, _) => _clock.Pass(Seconds(rows)) };
    }

    [TearDown]
    public void End() => _rounds.Dispose();

    [Test]
    public void Run_ALongPromptBesideAText_KeepsTheTextsPaceAndPaysNoMoreThanThat()
    {
        var stream = Start(3);
        var alone = Rounds(40)[20..]; // the first ones also teach what a forward takes
        var prompt = Start(Long);
        var began = _clock.Seconds;
        var disturbed = RoundsUntil(() => prompt.Output.Count > 0);

        Assert.That(disturbed.Skip(5), Has.All.LessThanOrEqualTo(3 * alone.Max()));
        Assert.That(stream.Output, Has.Count.EqualTo(41 - 1 + disturbed.Count), "a token in every round");
        var work = Long * PerRow;
        Assert.That(_clock.Seconds - began, Is.LessThan(work / (1 - (1 / PromptSharing.Stretch)) * 1.15), "the bound's price, and little more");
    }

    [Test]
    public void Run_AShortPromptBehindALongOne_PassesIt([Values] bool besideAText)
    {
        var stream = besideAText ? Start(3) : null;
        Rounds(besideAText ? 40 : 0);
        var began = _clock.Seconds;
        var first = Start(Short);
        RoundsUntil(() => first.Output.Count > 0);
        var undisturbed = _clock.Seconds - began;
        first.Cancel();
        _rounds.Active.Remove(first);

        var prompt = Start(Long);
        Rounds(20);
        for (var i = 0; i < 5; i++)
        {
            began = _clock.Seconds;
            var next = Start(Short);
            var rounds = RoundsUntil(() => next.Output.Count > 0);
            Assert.That(_clock.Seconds - began, Is.LessThanOrEqualTo((2 * undisturbed) + rounds.Max()), $"short prompt {i}");
            _rounds.Active.Remove(next);
        }

        Assert.That(prompt.Output, Is.Empty, "or there was nothing to pass");
        _ = stream;
    }

    /// <summary>Somebody else needs the machine: all that is computed takes three times as long, and nothing shows what a round without
    /// prompts would take now.</summary>
    [Test]
    public void Run_WhileTheMachineIsSlow_GivesPromptsAsManyRows()
    {
        Start(3);
        Rounds(40);
        var prompt = Start(Long);
        var (rows, slow) = (0, 1.0);
        _rounds.BeforeForward = (count, _) =>
        {
            rows = count;
            _clock.Pass(slow * Seconds(count));
        };
        Rounds(30);
        var usual = rows;
        slow = 3;
        Rounds(40);
        Assert.That(rows, Is.EqualTo(usual).Within(usual / 3));
        Assert.That(prompt.Output, Is.Empty);
    }

    [Test]
    public void Run_ALongPromptAlone_TakesAboutTheTimeOfWholeChunks()
    {
        var prompt = Start(Long);
        RoundsUntil(() => prompt.Output.Count > 0);
        var chunks = (Long + 255) / 256;
        Assert.That(_clock.Seconds, Is.LessThan(1.15 * ((chunks * Fixed) + (Long * PerRow))));
    }

    /// <summary>Short prompts that never cease to come take three quarters of the rows, not all.</summary>
    [Test]
    public void Run_ShortPromptsWithoutEnd_DoNotStarveALongOne()
    {
        var prompt = Start(600);
        List<TestSequence> shorts = [];
        for (var round = 0; prompt.Output.Count == 0; round++)
        {
            Assert.That(round, Is.LessThan(400));
            while (shorts.Count < 7)
            {
                shorts.Add(Start(Short, maxTokens: 1));
            }

            _rounds.Run();
            shorts.RemoveAll(sequence => sequence.Output.Count > 0);
        }
    }

    [Test]
    public void Observe_OneBadMoment_IsForgottenWhereItKeepsRoundsSmallToo()
    {
        var cost = new PromptCost(new CostCurve(Points, [.. Points.Select(Seconds)]));
        var usual = cost.RowsWithin(Seconds(100), context: 0, most: 256);
        cost.Observe(64, 0, 50 * Seconds(64));
        Assert.That(cost.RowsWithin(Seconds(100), 0, 256), Is.LessThan(usual * 0.6));
        for (var i = 0; i < 100; i++)
        {
            var rows = cost.RowsWithin(Seconds(100), 0, 256); // what a round would take now, and none that it would not
            cost.Observe(rows, 0, Seconds(rows));
        }

        Assert.That(cost.RowsWithin(Seconds(100), 0, 256), Is.EqualTo(usual).Within(3));
    }

    /// <summary>A curve that was measured while somebody else had the machine says of all but one row that they are twenty times dearer.</summary>
    [Test]
    public void RowsWithin_ACurveThatIsWrong_IsNotBelievedForEver()
    {
        var cost = new PromptCost(new CostCurve(Points, [.. Points.Select(n => n == 1 ? Seconds(1) : 20 * Seconds(n))]));
        for (var i = 0; i < 60; i++)
        {
            var now = cost.RowsWithin(Seconds(20), 0, 256);
            cost.Observe(now, 0, Seconds(now));
        }

        Assert.That(cost.RowsWithin(Seconds(20), 0, 256), Is.EqualTo(20).Within(6));
    }

    private static double Seconds(int rows) => Fixed + (PerRow * rows);

    private TestSequence Start(int tokens, int maxTokens = 2000) => _rounds.Start([.. Enumerable.Range(0, tokens).Select(i => i % Vocab)], Greedy with { MaxTokens = maxTokens });

    private List<double> Rounds(int count)
    {
        var left = count;
        return RoundsUntil(() => left-- == 0);
    }

    /// <summary>The times of rounds until something is so.</summary>
    private List<double> RoundsUntil(Func<bool> isDone)
    {
        List<double> times = [];
        while (!isDone())
        {
            var before = _clock.Seconds;
            _rounds.Run();
            times.Add(_clock.Seconds - before);
        }

        return times;
    }
}
