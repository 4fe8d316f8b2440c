using NativeSpec.Engine;
using NativeSpec.Engine.Rounds;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Planning;
using NativeSpec.Tests.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Engine.Rounds;

/// <summary>Production rounds in simulated time. A forward takes <see cref="Fixed"/> for the weights and <see cref="PerRow"/> for each
/// row, about as the shape 110M does on two cores; the engine begins with a curve that takes a row of a prompt for a third dearer than it is, as its probe's do.</summary>
public sealed class FairRoundsTests
{
    private const int Vocab = 40, Long = 3000, Short = 30;
    private const double Fixed = 0.004, PerRow = 0.001;

    private static readonly int[] Points = [1, 2, 4, 8, 16, 32, 64];
    private static readonly ScriptedTarget Target = ScriptedTarget.Markov(Vocab, order: 2);
    private static readonly GenerationOptions Greedy = new() { Temperature = 0, MaxTokens = 2000, Speculation = SpeculationOptions.Off };

    private SimulatedClock _clock = null!;
    private ScriptedRounds _rounds = null!;

    [SetUp]
    public void Begin() => Begin(Seconds);

    private void Begin(Func<int, double> seconds)
    {
        _rounds?.Dispose();
        _clock = new SimulatedClock();
        var core = new SpeculationCore([], new CostCurve(Points, [.. Points.Select(n => seconds(n) * 4 / 3)]), Vocab, maxNodes: 8, _clock);
        _rounds = new ScriptedRounds(Target.Logits, core, maxSequences: 8, prefillChunk: 256) { BeforeForward = (rows, _) => _clock.Pass(seconds(rows)) };
    }

    [TearDown]
    public void End() => _rounds.Dispose();

    [Test]
    public void Run_ALongPromptBesideAText_IsNearlyAsFastAsAloneAndWithinTheBound()
    {
        var stream = Start(3);
        var alone = Rounds(40)[20..]; // the first ones also teach what a forward takes
        var prompt = Start(Long);
        var began = _clock.Seconds;
        var disturbed = RoundsUntil(() => prompt.Output.Count > 0);

        Assert.That(alone.Max(), Is.LessThan(0.010), "three rounds without the prompt are less than 75 ms");
        Assert.That(disturbed.Skip(5), Has.All.LessThanOrEqualTo(0.075 + PerRow));
        Assert.That(stream.Output, Has.Count.EqualTo(41 - 1 + disturbed.Count), "a token in every round");
        Assert.That(_clock.Seconds - began, Is.LessThan(1.1 * SecondsAlone(Long)));
    }

    /// <summary>A round of a large model is no longer than three without prompts.</summary>
    [Test]
    public void Run_ALongPromptBesideATextOfALargeModel_StretchesRoundsThreefold()
    {
        Begin(rows => 10 * Seconds(rows));
        Start(3);
        var alone = Rounds(40)[20..].Max();
        var prompt = Start(600);
        var disturbed = RoundsUntil(() => prompt.Output.Count > 0);

        Assert.That(alone, Is.InRange(0.025, 0.1), "three of them are more than 75 ms");
        Assert.That(disturbed.Skip(5), Has.All.LessThanOrEqualTo((3 * alone) + (10 * PerRow)));
    }

    /// <summary>Up to twelve rows come in the time in which the weights are read: a text beside a prompt need hardly wait, and the prompt gains nothing from
    /// longer rounds.</summary>
    [Test]
    public void Run_WhereReadingWeightsIsTheTime_ALongPromptHardlyDelaysAText()
    {
        const double Reading = 0.08, Row = Reading / 12;
        Begin(n => Math.Max(Reading, n * Row) + (n * Row / 50));
        Start(3);
        var alone = Rounds(40)[20..].Max();
        var prompt = Start(600);
        var began = _clock.Seconds;
        var disturbed = RoundsUntil(() => prompt.Output.Count > 0);

        Assert.That(disturbed.Skip(5), Has.All.LessThan(2 * alone), "and not three times");
        Assert.That(_clock.Seconds - began, Is.LessThan(1.15 * 600 * Row * 1.02));
    }

    /// <summary>What is asked of an engine on a busy day: a prompt of 3000 tokens comes while a text is written, and six short prompts come after it.</summary>
    [Test]
    public void Run_ShortPromptsAndATextBesideALongPrompt_AllKeepTheirPace()
    {
        var alone = SecondsAlone(Long);
        double[] arrivals = [0.02, 0.15, 0.31, 0.34, 0.6, 0.83]; // of the time that the long prompt takes alone
        Start(3);
        Rounds(40);
        var (firsts, gaps, _) = Serve([.. arrivals.Select(at => at * alone)], until: alone, null);
        var (busyFirsts, busyGaps, longSeconds) = Serve([.. arrivals.Select(at => at * alone)], until: 0, Start(Long));

        Assert.That(busyFirsts.Order().ElementAt(3), Is.LessThanOrEqualTo((2 * firsts.Order().ElementAt(3)) + 0.075), "to the first token of short prompts");
        Assert.That(busyGaps.Max(), Is.LessThanOrEqualTo(3 * gaps.Max()), "between two tokens of the text");
        Assert.That(longSeconds, Is.LessThanOrEqualTo(1.15 * alone), "the long prompt");
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
        static double Large(int rows) => 10 * Seconds(rows); // of a model whose rounds are bounded by those without prompts
        Begin(Large);
        Start(3);
        Rounds(40);
        var prompt = Start(Long);
        var (rows, slow) = (0, 1.0);
        _rounds.BeforeForward = (count, _) =>
        {
            rows = count;
            _clock.Pass(slow * Large(count));
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

    /// <summary>What the oldest has given up is not forgotten while one of a higher priority stands before it.</summary>
    [Test]
    public void Run_APromptThatComesBeforeTheOldest_LeavesItWhatItIsOwed()
    {
        var prompt = Start(Long);
        foreach (var _ in Enumerable.Range(0, 5))
        {
            Start(Short, maxTokens: 1);
        }

        _rounds.Run();
        var owed = prompt.Sequence.RowsOwed;
        Assert.That(owed, Is.Positive);
        var first = Start(Short, maxTokens: 1);
        _rounds.Active.Remove(first);
        _rounds.Active.Insert(0, first);
        RoundsUntil(() => first.Output.Count > 0);
        Assert.That(prompt.Sequence.RowsOwed, Is.EqualTo(owed));
        _rounds.Run();
        Assert.That(prompt.Sequence.RowsOwed, Is.GreaterThan(owed));
    }

    [Test]
    public void Observe_OneBadMoment_IsForgottenWhereItKeepsRoundsSmallToo()
    {
        var cost = new PromptCost(new CostCurve(Points, [.. Points.Select(Seconds)]));
        var usual = RowsWithin(cost, Seconds(100));
        cost.Observe(64, 0, 50 * Seconds(64));
        Assert.That(RowsWithin(cost, Seconds(100)), Is.LessThan(usual * 0.6));
        for (var i = 0; i < 100; i++)
        {
            var rows = RowsWithin(cost, Seconds(100)); // what a round would take now, and none that it would not
            cost.Observe(rows, 0, Seconds(rows));
        }

        Assert.That(RowsWithin(cost, Seconds(100)), Is.EqualTo(usual).Within(3));
    }

    /// <summary>A curve that was measured while somebody else had the machine says of all but one row that they are twenty times dearer.</summary>
    [Test]
    public void Seconds_ACurveThatIsWrong_IsNotBelievedForEver()
    {
        var cost = new PromptCost(new CostCurve(Points, [.. Points.Select(n => n == 1 ? Seconds(1) : 20 * Seconds(n))]));
        for (var i = 0; i < 60; i++)
        {
            var now = RowsWithin(cost, Seconds(20));
            cost.Observe(now, 0, Seconds(now));
        }

        Assert.That(RowsWithin(cost, Seconds(20)), Is.EqualTo(20).Within(6));
    }

    private static double Seconds(int rows) => Fixed + (PerRow * rows);

    private static int RowsWithin(PromptCost cost, double seconds) => Enumerable.Range(1, 256).LastOrDefault(rows => cost.Seconds(rows, context: 0) <= seconds, 1);

    /// <summary>What a prompt takes in whole chunks.</summary>
    private static double SecondsAlone(int tokens) => (((tokens + 255) / 256) * Fixed) + (tokens * PerRow);

    /// <summary>Serves short prompts that come at certain times, each with a text of eight tokens, beside what is there.</summary>
    /// <param name="arrivals">Seconds from now.</param>
    /// <param name="until">Seconds from now that it takes at least.</param>
    /// <param name="prompt">A prompt whose end it takes too.</param>
    /// <returns>Seconds to the first tokens, of all rounds, and to the prompt's end.</returns>
    private (double[] Firsts, List<double> Rounds, double PromptSeconds) Serve(double[] arrivals, double until, TestSequence? prompt)
    {
        var began = _clock.Seconds;
        var (firsts, promptSeconds) = (new double[arrivals.Length], 0.0);
        Dictionary<TestSequence, int> waiting = [];
        List<double> rounds = [];
        for (var next = 0; next < arrivals.Length || waiting.Count > 0 || _clock.Seconds - began < until || (prompt is not null && promptSeconds == 0);)
        {
            for (; next < arrivals.Length && arrivals[next] <= _clock.Seconds - began; next++)
            {
                waiting.Add(Start(Short, maxTokens: 8), next);
            }

            var before = _clock.Seconds;
            _rounds.Run();
            rounds.Add(_clock.Seconds - before);
            foreach (var (sequence, number) in waiting.Where(sequence => sequence.Key.Output.Count > 0).ToArray())
            {
                firsts[number] = _clock.Seconds - began - arrivals[number];
                waiting.Remove(sequence);
            }

            promptSeconds = promptSeconds == 0 && prompt?.Output.Count > 0 ? _clock.Seconds - began : promptSeconds;
        }

        return (firsts, rounds, promptSeconds);
    }

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
