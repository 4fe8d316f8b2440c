using NativeSpec.Speculation;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>The controller's promise, in simulated time: speculation that does not pay costs next to nothing, and comes back when it
/// pays.</summary>
public sealed class ControllerTests
{
    private const double One = 0.010;
    private const double Allowed = 0.97;
    private static readonly int[] Prompts = [.. Enumerable.Range(1, 6)];

    [Test]
    public void Auto_OnAnAdversarialSetOfPrompts_IsNeverMuchSlowerThanPlain(
        [Values(0.01, 0.1, 0.5, 1.0, 3.0)] double draftCost, [Values(0.0, 0.9)] double costPerNode, [Values(0f, 1f)] float confidence)
    {
        var clock = new SimulatedClock();
        var drafter = new SimulatedDrafter(clock, draftCost * One, confidence);
        using var rounds = new SimulatedRounds(clock, [drafter], One, costPerNode * One);

        double[] rates = [.. Prompts.Select(prompt => rounds.Write(prompt, 192).Rate * One)];

        Assert.That(drafter.Asked, Is.Positive, "it was given its chance");
        Assert.That(rates.Order().ElementAt(rates.Length / 2), Is.AtLeast(Allowed), $"median of [{string.Join(", ", rates.Select(r => $"{r:0.000}"))}]");
        Assert.That(rates.Length / rates.Sum(rate => 1 / rate), Is.AtLeast(Allowed), "all texts together, the first request's trials included");
    }

    /// <summary>Drafters of every price at once, none ever right: what each loses is small beside what all may lose together.</summary>
    [Test]
    public void Auto_ManyDraftersThatAreAllWrong_IsNeverMuchSlowerThanPlain([Values(0.0, 0.9)] double costPerNode, [Values(0f, 0.8f)] float confidence)
    {
        var clock = new SimulatedClock();
        double[] costs = [0.01, 0.03, 0.1, 0.3, 1];
        SimulatedDrafter[] drafters = [.. costs.Select((cost, i) => new SimulatedDrafter(clock, cost * One, confidence, $"d{i}"))];
        using var rounds = new SimulatedRounds(clock, drafters, One, costPerNode * One);

        double[] rates = [.. Prompts.Select(prompt => rounds.Write(prompt, 192).Rate * One)];

        Assert.That(drafters.Select(drafter => drafter.Asked), Has.All.Positive);
        Assert.That(rates.Order().ElementAt(rates.Length / 2), Is.AtLeast(Allowed), $"median of [{string.Join(", ", rates.Select(r => $"{r:0.000}"))}]");
    }

    /// <summary>Texts of several callers, of which new ones begin all the time: never slower than plain, and faster where a further node is cheap and a guess good.</summary>
    [Test]
    public void Auto_SeveralCallers_IsNeverSlowerThanPlain(
        [Values(4, 16)] int callers, [Values(0.02, 0.5)] double costPerNode, [Values(0.0, 0.7)] double chance, [Values(0.005, 0.1)] double draftCost)
    {
        const int Rounds = 1500;
        var clock = new SimulatedClock();
        using var rounds = new SimulatedRounds(clock, [new SimulatedGuesser(clock, draftCost * One, chance, SimulatedRounds.Target.Logits)], One, costPerNode * One, callers: callers);
        var plain = callers / (One * (1 + (costPerNode * (callers - 1))));

        var gain = rounds.WriteTogether(callers, tokens: 60, Rounds) / plain;

        Assert.That(gain, Is.AtLeast(costPerNode < 0.1 && draftCost < 0.1 && chance > 0 ? 1.3 : 0.99));
    }

    /// <summary>A burst of a few texts each, after a text that was written alone: what that one has shown is enough to let a trial be that cannot pay.</summary>
    [Test]
    public void Auto_AShortBurst_LosesNothingToFindingOut(
        [Values(4, 16, 32)] int callers, [Values(0.2, 0.5)] double costPerNode, [Values(0.0, 0.5)] double chance, [Values(0.1, 1)] double draftCost)
    {
        var clock = new SimulatedClock();
        using var rounds = new SimulatedRounds(clock, [new SimulatedGuesser(clock, draftCost * One, chance, SimulatedRounds.Target.Logits)], One, costPerNode * One, callers: callers);
        var plain = callers / (One * (1 + (costPerNode * (callers - 1))));
        rounds.Write(1, 64);

        Assert.That(rounds.WriteTogether(callers, tokens: 60, rounds: 130) / plain, Is.AtLeast(0.98));
    }

    /// <summary>A drafter that rests learns while that is cheap, and always from the round before it is asked again: heads read the hidden
    /// state of the very last token.</summary>
    [Test]
    public void Auto_ADrafterThatRests_LearnsLittleButTheRoundBeforeItIsAsked()
    {
        var clock = new SimulatedClock();
        var learner = new CostlyLearner(clock, 0.5 * One);
        using var rounds = new SimulatedRounds(clock, [learner], One, 0.9 * One);
        for (var prompt = 1; prompt <= 3; prompt++)
        {
            rounds.Write(prompt, 600);
        }

        Assert.That(learner.Asked, Is.InRange(8, 200));
        Assert.That(learner.Stale, Is.Zero, "rounds in which it was asked and had not seen the one before");
        Assert.That(learner.Shown - learner.Asked, Is.InRange(5, 60), "of 1800 rounds");
    }

    /// <summary>Probes are never accepted, so a window has to be free, or paid for by the n-grams that it finds.</summary>
    [TestCase(0.0, true)]
    [TestCase(0.3, false)]
    public void Auto_Lookahead_HasAWindowOnlyWhereItPays(double costPerNode, bool hasWindow)
    {
        var clock = new SimulatedClock();
        using var rounds = new SimulatedRounds(clock, [new LookaheadDrafter(new() { Window = 4, Level = 4, Guesses = 4 })], One, costPerNode * One);
        rounds.Write(3, 200);
        Assert.That(rounds.Probes, hasWindow ? Is.GreaterThan(400) : Is.Zero);
    }

    [Test]
    public void Auto_WhenAcceptanceReturns_IsFastAgainSoon([Values(0.05, 0.3)] double draftCost)
    {
        var clock = new SimulatedClock();
        var drafter = new SimulatedDrafter(clock, draftCost * One, 0.8f);
        using var rounds = new SimulatedRounds(clock, [drafter], One, 0.05 * One);
        var text = rounds.Write(5, 2000).Text; // wrong all the time: asked more and more rarely
        const int Returns = 800;
        var (half, end) = (0.0, 0.0);

        rounds.Write(5, 2000, position =>
        {
            drafter.Knows = position >= Returns ? text : null;
            half = position < 1500 ? clock.Seconds : half;
            end = clock.Seconds;
        });

        var rate = 500 / (end - half) * One;
        Assert.That(rate, Is.AtLeast(2), "five tokens a round, at little cost");
    }

    [Test]
    public void Auto_ADrafterThatIsRight_IsUsedFromTheStart()
    {
        var clock = new SimulatedClock();
        var drafter = new SimulatedDrafter(clock, 0.3 * One, 0.8f);
        using var rounds = new SimulatedRounds(clock, [drafter], One, 0.05 * One);
        drafter.Knows = [TestConfigs.Tiny.VocabSize - 9];
        var text = rounds.Write(7, 600).Text;
        drafter.Knows = [.. text, .. new int[8]];

        Assert.That(rounds.Write(7, 600).Rate * One, Is.AtLeast(1.5), "also after a text in which it was always wrong");
    }

    /// <summary>Is always wrong, and takes its time to learn that.</summary>
    private sealed class CostlyLearner(SimulatedClock clock, double seconds) : IDrafterSource, IDrafter
    {
        private int[] _last = [];

        public string Name => "learner";

        public int Asked { get; private set; }

        public int Shown { get; private set; }

        public int Stale { get; private set; }

        public IDrafter Start(ReadOnlyMemory<int> prompt)
        {
            _last = [];
            return this;
        }

        public void Propose(DraftContext context, DraftTree tree)
        {
            Asked++;
            Stale += context.Text.EndsWith(_last) ? 0 : 1;
            tree.Add(0, TestConfigs.Tiny.VocabSize - 1);
        }

        public void Observe(RoundOutcome outcome)
        {
            Shown++;
            clock.Pass(seconds);
            _last = [outcome.Tree.Token(0), .. outcome.Emitted];
        }

        public void Dispose()
        {
        }
    }
}
