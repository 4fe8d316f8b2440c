using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class SpeculationGateTests
{
    /// <summary>Whatever drafting brings, what the wrong arm costs fades: it is tried ever more rarely.</summary>
    [TestCase(0.8)]
    [TestCase(0.98)]
    [TestCase(1.25)]
    public void Opens_AfterAWhile_TakesTheBetterArm(double gain)
    {
        var gate = new SpeculationGate();
        var written = Write(gate, 16, 2000, gain);
        Assert.That(written / 2000, Is.AtLeast(0.98 * Math.Max(gain, 1)));
    }

    /// <summary>A round in which sixteen draft in vain takes five times as long as one without: four of them would cost two in a hundred of the next thousand.</summary>
    [Test]
    public void Opens_ATrialThatIsFarBehind_EndsBeforeItsTime([Values] bool atFirst)
    {
        var gate = new SpeculationGate();
        var (drafted, later) = (0, 0);
        for (var round = 0; round < (atFirst ? 100 : 2400); round++)
        {
            var drafts = gate.Opens(16);
            gate.Observe(16, drafts, plainSeconds: 1, drafts ? 5 : 1);
            drafted += drafts ? 1 : 0;
            later += drafts && round > 100 ? 1 : 0;
        }

        Assert.That(atFirst ? drafted : later, Is.EqualTo(2));
    }

    /// <summary>What drafters cost outside of the rounds that are compared is not known: without a lead they are not asked.</summary>
    [Test]
    public void Opens_WithoutALead_DoesWithoutDrafting()
    {
        var gate = new SpeculationGate();
        Write(gate, 16, 100, gain: 1.02);
        var drafted = 0;
        for (var round = 0; round < 2000; round++)
        {
            var drafts = gate.Opens(16);
            gate.Observe(16, drafts, plainSeconds: 1, drafts ? 1 / 1.02 : 1);
            drafted += drafts ? 1 : 0;
        }

        Assert.That(drafted, Is.LessThan(300));
    }

    [Test]
    public void Opens_WhereDraftingBeginsToPay_Follows()
    {
        var gate = new SpeculationGate();
        Write(gate, 4, 300, gain: 0.8);
        Write(gate, 4, 600, gain: 1.5);
        Assert.That(Write(gate, 4, 400, gain: 1.5) / 400, Is.AtLeast(1.4));
    }

    [Test]
    public void Opens_ForASingleRequest_IsLeftToTheAccounts()
    {
        var gate = new SpeculationGate();
        Assert.That(Write(gate, 1, 500, gain: 0.5), Is.EqualTo(250));
    }

    [Test]
    public void Observe_OneNumberOfSequences_SaysNothingAboutAnother()
    {
        var gate = new SpeculationGate();
        Write(gate, 16, 200, gain: 0.5);
        Assert.That(gate.Opens(4));
    }

    /// <summary>A trial before which drafts have to read what they have missed costs many rounds. It is tried again when the rounds without have paid for it, so over a long time
    /// finding out costs the allowance and the last trial.</summary>
    [TestCase(40, 0.9)]
    [TestCase(400, 0.5)]
    [TestCase(400, 1.3, Description = "drafting pays, and is found out to, whatever the first reading costs")]
    public void Opens_TrialsThatCostReading_ArePaidBeforeTheNext(int readingRounds, double gain)
    {
        const int Seconds = 400_000;
        var gate = new SpeculationGate();
        var (now, written, trials, closed, owed) = (0.0, 0.0, 0, readingRounds, 0);
        while (now < Seconds)
        {
            var drafts = gate.Opens(16);
            if (drafts && closed > 0)
            {
                (trials, owed) = (trials + 1, Math.Min(closed, readingRounds)); // what was written meanwhile has not been read
            }

            var reads = drafts && owed-- > 0;
            var (tokens, seconds) = reads ? (1.0, 2.0) : drafts ? (gain, 1.0) : (1.0, 1.0);
            gate.Observe(16, drafts, tokens, seconds, reads);
            (now, written, closed) = (now + seconds, written + tokens, drafts ? 0 : closed + 1);
        }

        Assert.That(trials, Is.GreaterThan(gain > 1 ? 0 : 1));
        Assert.That(written / now, Is.AtLeast((1 - (1.5 * DrafterAccount.Allowance)) * Math.Max(gain, 1) - (gain > 1 ? 0.03 : 0)));
    }

    /// <summary>Reading comes with every request: drafting that pays without it and not with it is sent away.</summary>
    [Test]
    public void Opens_WhereEveryRequestIsReadFirst_CountsTheReading()
    {
        var gate = new SpeculationGate();
        var drafted = 0;
        for (var round = 0; round < 4000; round++)
        {
            var drafts = gate.Opens(8);
            var reads = round % 10 < 3;
            gate.Observe(8, drafts, drafts && !reads ? 1.1 : 1, drafts && reads ? 2 : 1, drafts && reads);
            drafted += drafts ? 1 : 0;
        }

        Assert.That(drafted, Is.LessThan(400));
    }

    [Test]
    public void Opens_WhatHasLostForFewer_BeginsWithoutItForMore()
    {
        var gate = new SpeculationGate();
        Write(gate, 4, 200, gain: 0.5);
        Assert.That(gate.Opens(16), Is.False);
        Assert.That(gate.Opens(2), "fewer may gain where more lose");
    }

    [Test]
    public void Opens_WhatHasWonForFewer_IsStillTriedForMore()
    {
        var gate = new SpeculationGate();
        Write(gate, 4, 200, gain: 1.5);
        Assert.That(gate.Opens(16));
    }

    /// <summary>A forward bound by memory takes four times the nodes in its time; one bound by arithmetic, in four times its time.</summary>
    [TestCase(0.01, true)]
    [TestCase(0.5, true)]
    [TestCase(0.95, false)]
    [TestCase(1, false)]
    public void Promises_FollowsWhatFurtherNodesCost(double perNode, bool promises)
    {
        int[] nodes = [1, 2, 4, 8, 16, 32, 64];
        var cost = new CostCurve(nodes, [.. nodes.Select(count => 1 - perNode + (perNode * count))]);
        Assert.That(SpeculationGate.Promises(cost, requests: 4, maxNodes: 64, context: 100), Is.EqualTo(promises));
        Assert.That(SpeculationGate.Promises(cost, requests: 64, maxNodes: 64, context: 100), Is.False, "no room for candidates");
    }

    /// <summary>A round takes a second, and without drafting writes one token.</summary>
    private static double Write(SpeculationGate gate, int sequences, int rounds, double gain)
    {
        var written = 0.0;
        for (var round = 0; round < rounds; round++)
        {
            var drafts = gate.Opens(sequences);
            gate.Observe(sequences, drafts, plainSeconds: 1, drafts ? 1 / gain : 1);
            written += drafts ? gain : 1;
        }

        return written;
    }
}
