using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>What drafters are paid. Nothing has been learnt yet, so a proposal's estimate is its confidence.</summary>
public sealed class ProposalJudgeTests
{
    private const int First = 0, Second = 1;
    private static readonly double[] Prices = [0.2, 0.2, 0.2, 0.2];

    private DraftTree _tree = null!;
    private ProposalJudge _judge = null!;

    [SetUp]
    public void Begin()
    {
        _tree = new DraftTree(32, 100);
        _tree.Reset(0, 8);
        _judge = new ProposalJudge(new AcceptanceEstimates(2), new LogisticMixer(2), _tree, [First, Second]);
    }

    [Test]
    public void Credit_WhoRepeatsABetterOne_IsNotPaid()
    {
        Propose(First, (7, 0.8f), (8, 0.5f));
        Propose(Second, (7, 0.8f), (8, 0.5f));
        var credits = Credit([First, Second], [7, 8, 9]);
        Assert.That(credits[0].Added, Is.EqualTo((1 - (0.2 / 0.8)) + (1 - (0.2 / 0.4))).Within(1e-6));
        Assert.That(credits[1].Added, Is.EqualTo(0).Within(1e-9));
        Assert.That(credits[1].Alone, Is.EqualTo(credits[0].Alone).Within(1e-6), "though it would have been worth as much alone");
        Assert.That(Credit([Second, First], [7, 8, 9])[1].Added, Is.EqualTo(0).Within(1e-9), "the order decides, not the number");
    }

    [Test]
    public void Credit_WhoGoesOnWhereTheFirstEnds_HasWhatComesThere()
    {
        Propose(First, (7, 0.9f));
        Propose(Second, (7, 0.5f), (8, 0.8f));
        var credits = Credit([First, Second], [7, 8, 9]);
        Assert.That(credits[0].Added, Is.EqualTo(1 - (0.2 / 0.9)).Within(1e-6));
        Assert.That(credits[1].Added, Is.EqualTo(1 - (0.2 / (0.9 * 0.8))).Within(1e-6), "the first one's surety above it included");
        Assert.That(credits[1].Alone, Is.EqualTo((1 - (0.2 / 0.5)) + (1 - (0.2 / 0.4))).Within(1e-6));
    }

    [Test]
    public void Credit_WhoWasWrong_HasNothing_AndWhoDisputesTheRightOneCostsIt()
    {
        Propose(First, (7, 0.8f));
        Propose(Second, (6, 0.8f));
        var credits = Credit([First, Second], [7, 8]);
        Assert.That(credits[1].Alone, Is.Zero);
        Assert.That(credits[1].Added, Is.EqualTo((0.2 / 0.8) - (0.2 / (4 / 9.0))).Within(1e-6), "the right one looks less likely with it");
    }

    [Test]
    public void Worth_OfACandidateBelowItsPrice_IsNothing()
    {
        Propose(First, (7, 0.15f));
        Assert.That(_judge.Worth(ProposalJudge.Everyone, [7, 8], Prices), Is.Zero);
        Assert.That(_judge.Worth(ProposalJudge.Everyone, [7, 8], [0.1, 0.1]), Is.EqualTo(1 - (0.1 / 0.15)).Within(1e-6));
    }

    /// <summary>Only candidates that became text are counted, and yet the mean is what the planner may expect of all: Σ (p − price).</summary>
    [Test]
    public void Worth_OnAverage_IsTheSurplusThatThePlannerExpects()
    {
        var random = new Random(3);
        const float Confidence = 0.7f;
        var (sum, rounds) = (0.0, 20_000);
        for (var round = 0; round < rounds; round++)
        {
            Begin();
            Propose(First, (1, Confidence), (1, Confidence), (1, Confidence));
            var right = 0;
            while (right < 3 && random.NextDouble() < Confidence)
            {
                right++;
            }

            sum += _judge.Worth(ProposalJudge.Everyone, [.. Enumerable.Repeat(1, right), 2], Prices);
        }

        var expected = Enumerable.Range(1, 3).Sum(depth => Math.Pow(Confidence, depth) - 0.2);
        Assert.That(sum / rounds, Is.EqualTo(expected).Within(0.03));
    }

    [Test]
    public void EstimateWith_BeforeAProposalIsAdded_IsTheEstimateAfterwards()
    {
        Propose(First, (7, 0.8f));
        Propose(First, (6, 0.4f));
        var before = _judge.EstimateWith(Second, parent: 0, token: 6, rank: 0, 0.5f);
        Propose(Second, (6, 0.5f));
        Assert.That(_judge.Estimate(_tree.FindChild(0, 6)), Is.EqualTo(before).Within(1e-9));
        Assert.That(before, Is.EqualTo(1 / 6.0).Within(1e-6), "odds of 1 against the first one's 4");
    }

    private void Propose(int drafter, params (int Token, float Confidence)[] chain)
    {
        _tree.BeginTurn(drafter, DraftKind.Text, probes: 0);
        var node = 0;
        foreach (var (token, confidence) in chain)
        {
            node = _tree.Add(node, token, 0, confidence);
        }
    }

    private (double Added, double Alone)[] Credit(int[] order, int[] emitted)
    {
        var credits = new (double, double)[order.Length];
        _judge.Credit(order, emitted, Prices, credits);
        return credits;
    }
}
