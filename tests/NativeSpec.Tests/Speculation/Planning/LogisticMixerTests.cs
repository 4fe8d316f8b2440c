using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class LogisticMixerTests
{
    [Test]
    public void Estimate_WhereOneDrafterSpeaks_IsItsOwn()
    {
        var mixer = new LogisticMixer(3);
        var said = Evidence.None.With(1, Logit(0.3));
        for (var i = 0; i < 100; i++)
        {
            mixer.Observe(said, right: true);
        }

        Assert.That(mixer.Estimate(said), Is.EqualTo(0.3).Within(1e-9), "there is nothing to learn beyond what is known of it by itself");
        Assert.That(mixer.Estimate(Evidence.None), Is.Zero, "and nobody's node is never right");
    }

    /// <summary>By Bayes: two independent witnesses with odds a and b for tokens that exclude each other leave a : b : 1.</summary>
    [TestCase(0.8, 0.8, 4 / 9.0)]
    [TestCase(0.5, 0.9, 1 / 11.0)]
    [TestCase(0.9, 0.5, 9 / 11.0)]
    public void Estimate_OfADisputedNode_BeginsWithTheOdds(double best, double rival, double expected)
        => Assert.That(new LogisticMixer(2).Estimate(Evidence.None.With(0, Logit(best)).Against(1, Logit(rival))), Is.EqualTo(expected).Within(1e-9));

    [Test]
    public void With_InAnyOrder_KnowsTheTwoSurest([Values(0, 1, 2)] int first, [Values(0, 1)] int step)
    {
        double[] estimates = [-2, 0.7, 0.5];
        var said = Evidence.None;
        for (var i = 0; i < 3; i++)
        {
            var drafter = (first + ((step + 1) * i)) % 3;
            said = said.With(drafter, estimates[drafter]);
        }

        Assert.That((said.Leader, said.Best, said.Second, said.SecondBest), Is.EqualTo((1, 0.7, 2, 0.5)));
    }

    [Test]
    public void Against_KnowsTheSurestRivalThatIsNotTheLeader()
    {
        var said = Evidence.None.Against(0, 1).With(1, -1).Against(1, 3).Against(0, -4).Against(2, -3).Against(0, -5);
        Assert.That((said.Rival, said.RivalBest), Is.EqualTo((2, -3.0)));
    }

    [Test]
    public void Import_OfWhatWasExported_KnowsIt_AndGoesOnLearning()
    {
        var (mixer, heir) = (new LogisticMixer(3), new LogisticMixer(3));
        var said = Evidence.None.With(1, Logit(0.6)).With(2, Logit(0.5)).Against(0, Logit(0.3));
        for (var i = 0; i < 500; i++)
        {
            mixer.Observe(said, right: false);
        }

        for (var drafter = 0; drafter < 3; drafter++)
        {
            heir.Import(drafter, mixer.Export(drafter));
        }

        Assert.That(heir.Estimate(said), Is.EqualTo(mixer.Estimate(said)).And.LessThan(0.05));
        for (var i = 0; i < 300; i++)
        {
            heir.Observe(said, right: true);
        }

        Assert.That(heir.Estimate(said), Is.GreaterThan(0.9));
    }

    /// <summary>The step is stable whatever drafters claim: sure and always wrong, or the other way round, beside each other.</summary>
    [Test]
    public void Observe_OfTheSurestClaimsThatAreAlwaysWrong_StaysFiniteAndLearnsThem()
    {
        var mixer = new LogisticMixer(3);
        Evidence[] said = [.. new[] { -40.0, -6, 0, 6, 40 }.Select(logit => Evidence.None.With(0, logit).With(1, logit).Against(2, -logit))];
        for (var i = 0; i < 20_000; i++)
        {
            mixer.Observe(said[i % said.Length], right: said[i % said.Length].Best < 0);
        }

        Assert.That(said.Select(node => mixer.Estimate(node)), Has.All.InRange(0, 1));
        Assert.That(mixer.Estimate(said[3]), Is.LessThan(0.05));
        Assert.That(mixer.Estimate(said[1]), Is.GreaterThan(0.95));
    }

    /// <summary>A good drafter A, and B and C, of which C repeats what B says nine times in ten, mistakes included. For every constellation of who
    /// proposes a token and whether others propose another one, the mean estimate must be the probability that follows from the law.</summary>
    [Test]
    public void Estimate_InAWorldWithAKnownLaw_IsItsProbability()
    {
        var world = new World();
        var learnt = world.MeanEstimates((judge, node) => judge.Estimate(node), rounds: 6000);
        foreach (var (constellation, (probability, right)) in World.Law().Where(entry => entry.Value.Probability > 0.02))
        {
            Assert.That(learnt[constellation], Is.EqualTo(right).Within(Allowed), $"{constellation}, {probability:0.000} of all nodes");
        }
    }

    /// <summary>The test above can tell: the surest proposer's own estimate, which knows nothing of the others, is far off where B and C agree
    /// against A.</summary>
    [Test]
    public void Estimate_TheSurestOfTheProposersAlone_IsNotThatProbability()
    {
        var world = new World();
        var surest = world.MeanEstimates((judge, node) => Enumerable.Range(0, 3).Max(drafter => judge.Estimate(node, ProposalJudge.Bit(drafter))), rounds: 6000);
        Assert.That(World.Law().Where(entry => entry.Value.Probability > 0.02), Has.Some.Matches<KeyValuePair<string, (double, double Right)>>(
            entry => Math.Abs(surest[entry.Key] - entry.Value.Right) > 4 * Allowed));
    }

    private const double Allowed = 0.06;

    private static double Logit(double probability) => Math.Log(probability / (1 - probability));

    /// <summary>The next token is 0. A says 0 or 1, B and C say 0 or 2.</summary>
    private sealed class World
    {
        private const double ARight = 0.85, BRightWithA = 0.5, BRightWithoutA = 0.15, CRepeats = 0.9;

        private readonly Random _random = new(5);

        /// <summary>By constellation, how often a node has it and how often it is right then.</summary>
        public static Dictionary<string, (double Probability, double Right)> Law()
        {
            var law = new Dictionary<string, (double Probability, double Right)>();
            for (var outcome = 0; outcome < 8; outcome++)
            {
                var (a, b, c) = ((outcome & 1) != 0, (outcome & 2) != 0, (outcome & 4) != 0);
                var bRight = a ? BRightWithA : BRightWithoutA;
                var probability = (a ? ARight : 1 - ARight) * (b ? bRight : 1 - bRight) * (b == c ? CRepeats : 1 - CRepeats);
                int[] tokens = Tokens(a, b, c);
                foreach (var token in tokens.Distinct())
                {
                    var (sum, right) = law.GetValueOrDefault(Constellation(tokens, token));
                    law[Constellation(tokens, token)] = (sum + probability, right + (token == 0 ? probability : 0));
                }
            }

            return law.ToDictionary(entry => entry.Key, entry => (entry.Value.Probability, entry.Value.Right / entry.Value.Probability));
        }

        /// <summary>By constellation, the mean of what is estimated in rounds from which is learnt, the first half left out.</summary>
        public Dictionary<string, double> MeanEstimates(Func<ProposalJudge, int, double> estimate, int rounds)
        {
            var tree = new DraftTree(8, 3);
            var judge = new ProposalJudge(new AcceptanceEstimates(3), new LogisticMixer(3), tree, [0, 1, 2]);
            var stats = new StatsCounter(["A", "B", "C"], 1);
            var seen = new Dictionary<string, (double Sum, int Count)>();
            for (var round = 0; round < rounds; round++)
            {
                var a = _random.NextDouble() < ARight;
                var b = _random.NextDouble() < (a ? BRightWithA : BRightWithoutA);
                int[] tokens = Tokens(a, b, _random.NextDouble() < CRepeats ? b : !b);
                tree.Reset(0, 4);
                judge.BeginRound();
                for (var drafter = 0; drafter < 3; drafter++)
                {
                    tree.BeginTurn(drafter, DraftKind.Text, probes: 0);
                    tree.Add(0, tokens[drafter]);
                }

                for (var node = 1; node < tree.Count && round >= rounds / 2; node++)
                {
                    var (sum, count) = seen.GetValueOrDefault(Constellation(tokens, tree.Token(node)));
                    seen[Constellation(tokens, tree.Token(node))] = (sum + estimate(judge, node), count + 1);
                }

                judge.Learn([0], stats);
            }

            return seen.ToDictionary(entry => entry.Key, entry => entry.Value.Sum / entry.Value.Count);
        }

        private static int[] Tokens(bool a, bool b, bool c) => [a ? 0 : 1, b ? 0 : 2, c ? 0 : 2];

        private static string Constellation(int[] tokens, int token)
        {
            var names = string.Concat("ABC".Where((_, drafter) => tokens[drafter] == token));
            return names.Length < tokens.Length ? $"{names}, disputed" : names;
        }
    }
}
