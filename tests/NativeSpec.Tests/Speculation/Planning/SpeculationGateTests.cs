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
        var gate = Gate();
        var written = Write(gate, 16, 2000, gain);
        Assert.That(written / 2000, Is.AtLeast(0.98 * Math.Max(gain, 1)));
    }

    /// <summary>A round in which sixteen draft in vain takes five times as long as one without: four of them would cost two in a hundred of the next thousand.</summary>
    [Test]
    public void Opens_ATrialThatIsFarBehind_EndsBeforeItsTime([Values] bool atFirst)
    {
        var gate = Gate();
        var (drafted, later) = (0, 0);
        for (var round = 0; round < (atFirst ? 100 : 2400); round++)
        {
            var drafts = gate.Ask(16, Promise.Likely).Opens;
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
        var gate = Gate();
        Write(gate, 16, 100, gain: 1.02);
        var drafted = 0;
        for (var round = 0; round < 2000; round++)
        {
            var drafts = gate.Ask(16, Promise.Likely).Opens;
            gate.Observe(16, drafts, plainSeconds: 1, drafts ? 1 / 1.02 : 1);
            drafted += drafts ? 1 : 0;
        }

        Assert.That(drafted, Is.LessThan(300));
    }

    [Test]
    public void Opens_WhereDraftingBeginsToPay_Follows()
    {
        var gate = Gate();
        Write(gate, 4, 300, gain: 0.8);
        Write(gate, 4, 600, gain: 1.5);
        Assert.That(Write(gate, 4, 400, gain: 1.5) / 400, Is.AtLeast(1.4));
    }

    [Test]
    public void Opens_ForASingleRequest_IsLeftToTheAccounts()
    {
        var gate = Gate();
        Assert.That(Write(gate, 1, 500, gain: 0.5), Is.EqualTo(250));
    }

    [Test]
    public void Observe_OneNumberOfSequences_SaysNothingAboutAnother()
    {
        var gate = Gate();
        Write(gate, 16, 200, gain: 0.5);
        Assert.That(gate.Ask(4, Promise.Likely).Opens);
    }

    /// <summary>A trial before which drafts have to read what they have missed costs many rounds. It is tried again when the rounds without have paid for it, so over a long time
    /// finding out costs the allowance and the last trial.</summary>
    [TestCase(40, 0.9)]
    [TestCase(400, 0.5)]
    [TestCase(400, 1.3, Description = "drafting pays, and is found out to, whatever the first reading costs")]
    public void Opens_TrialsThatCostReading_ArePaidBeforeTheNext(int readingRounds, double gain)
    {
        const int Seconds = 400_000;
        var gate = Gate();
        var (now, written, trials, closed, owed) = (0.0, 0.0, 0, readingRounds, 0);
        while (now < Seconds)
        {
            var drafts = gate.Ask(16, Promise.Likely).Opens;
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
        var gate = Gate();
        var drafted = 0;
        for (var round = 0; round < 4000; round++)
        {
            var drafts = gate.Ask(8, Promise.Likely).Opens;
            var reads = round % 10 < 3;
            gate.Observe(8, drafts, drafts && !reads ? 1.1 : 1, drafts && reads ? 2 : 1, drafts && reads);
            drafted += drafts ? 1 : 0;
        }

        Assert.That(drafted, Is.LessThan(400));
    }

    [Test]
    public void Opens_WhatHasLostForFewer_BeginsWithoutItForMore()
    {
        var gate = Gate();
        Write(gate, 4, 200, gain: 0.5);
        Assert.That(gate.Ask(16, Promise.Likely).Opens, Is.False);
        Assert.That(gate.Ask(2, Promise.Likely).Opens, "fewer may gain where more lose");
    }

    [Test]
    public void Opens_WhatHasWonForFewer_IsStillTriedForMore()
    {
        var gate = Gate();
        Write(gate, 4, 200, gain: 1.5);
        Assert.That(gate.Ask(16, Promise.Likely).Opens);
    }

    /// <summary>A forward bound by memory takes four times the nodes in its time; one bound by arithmetic, in four times its time.</summary>
    [TestCase(0.01, Promise.Likely)]
    [TestCase(0.3, Promise.Unproven)]
    [TestCase(0.5, Promise.Unproven)]
    [TestCase(0.95, Promise.None)]
    [TestCase(1, Promise.None)]
    public void PromiseOf_NothingIsKnown_FollowsWhatFurtherNodesCost(double perNode, object promise)
    {
        Assert.That(Gate(perNode).PromiseOf(4, context: 100), Is.EqualTo(promise));
        Assert.That(Gate(perNode).PromiseOf(64, context: 100), Is.EqualTo(Promise.None), "no room for candidates");
    }

    /// <summary>Single requests show how often candidates are right and what they cost.</summary>
    [TestCase(3.5, 5, 0.05, 0.05, Promise.Likely)]
    [TestCase(3.5, 5, 0.05, 0.3, Promise.Unproven, Description = "verifying costs too much")]
    [TestCase(3.5, 5, 3, 0.05, Promise.Unproven, Description = "drafting costs too much")]
    [TestCase(1.05, 5, 0.05, 0.05, Promise.Unproven, Description = "they are rarely right")]
    [TestCase(1, 1, 0.05, 0.05, Promise.Unproven, Description = "none is worth computing")]
    public void PromiseOf_SingleRequestsHaveDrafted_FollowsWhatTheyShow(double tokens, int nodes, double drafting, double perNode, object promise)
    {
        var gate = Gate(perNode);
        for (var i = 0; i < 40; i++)
        {
            gate.ObserveAlone((int)(((i + 1) * tokens) + 1e-9) - (int)((i * tokens) + 1e-9), nodes, drafting, context: 100);
        }

        Assert.That(gate.PromiseOf(8, context: 100), Is.EqualTo(promise));
    }

    /// <summary>A first trial that nothing promises anything of is paid for in advance, so that over any time trials cost the allowance; what is promised meanwhile is tried at once.</summary>
    [Test]
    public void Opens_WhereNothingIsProven_TriesWhatRoundsHavePaidFor()
    {
        var gate = Gate(0.1);
        var (now, lost, trials) = (0.0, 0.0, 0);
        for (var round = 0; round < 20_000; round++)
        {
            var drafts = gate.Ask(16, Promise.Unproven).Opens;
            gate.Observe(16, drafts, plainSeconds: 1, drafts ? 2 : 1);
            (now, lost, trials) = (now + (drafts ? 2 : 1), lost + (drafts ? 1 : 0), trials + (drafts ? 1 : 0));
            Assert.That(lost, Is.LessThanOrEqualTo((now * DrafterAccount.Allowance) + 1));
        }

        Assert.That(trials, Is.GreaterThan(4), "but it is tried");
        var other = Gate(0.1);
        Write(other, 16, 40, gain: 1, Promise.Unproven);
        Assert.That(other.Ask(16, Promise.Unproven).Opens, Is.False);
        Assert.That(other.Ask(16, Promise.Likely).MayOpenAfter);
        other.Observe(16, drafted: false, plainSeconds: 1, seconds: 1);
        Assert.That(other.Ask(16, Promise.Likely).Opens);
    }

    /// <summary>What nobody has tried with fewer is no sign that it loses.</summary>
    [Test]
    public void Opens_WhatHasNotBeenTriedForFewer_IsTriedForMoreWherePromised()
    {
        var gate = Gate();
        Write(gate, 4, 20, gain: 1, Promise.Unproven);
        Assert.That(gate.Ask(16, Promise.Likely).Opens);
    }

    [Test]
    public void Ask_WhereItCannotPay_IsNeverTriedAndDecidesNothing()
        => Assert.That(Enumerable.Range(0, 5000).Select(_ => Gate(1).Ask(16, decoding: 16, context: 100)), Is.All.EqualTo(default(GateAnswer)));

    /// <summary>Of forty requests one decodes: all nodes are its own, whatever the others will do.</summary>
    [Test]
    public void Ask_OneThatDecodesBesidePrompts_IsNotMeasuredByThem() => Assert.That(Gate().Ask(served: 40, decoding: 1, context: 100).Decides);

    /// <summary>Drafters have to see the round before they are asked, so no trial begins unannounced; with a debt that is paid in any round.</summary>
    [Test]
    public void Ask_ATrialOfDrafting_WasAnnouncedInTheRoundBefore([Range(30, 60)] int debt)
    {
        var gate = Gate(debt / 100.0);
        var (before, trials) = (new GateAnswer(false, true, true), 0);
        for (var round = 0; round < 20_000; round++)
        {
            var answer = gate.Ask(4, Promise.Unproven);
            Assert.That(answer.Opens && !before.MayOpenAfter, Is.False, $"round {round}");
            trials += answer.Opens && !before.Opens ? 1 : 0;
            gate.Observe(4, answer.Opens, plainSeconds: 1, answer.Opens ? 1.3 : 1.01);
            before = answer;
        }

        Assert.That(trials, Is.GreaterThan(2));
    }

    /// <summary>A gate where a forward of one node takes a second, and each further one a part of it.</summary>
    private static SpeculationGate Gate(double perNode = 0.02)
    {
        int[] nodes = [1, 2, 4, 8, 16, 32, 64];
        return new SpeculationGate(new CostCurve(nodes, [.. nodes.Select(count => 1 - perNode + (perNode * count))]), maxNodes: 64);
    }

    /// <summary>A round takes a second, and without drafting writes one token.</summary>
    private static double Write(SpeculationGate gate, int sequences, int rounds, double gain, Promise promise = Promise.Likely)
    {
        var written = 0.0;
        for (var round = 0; round < rounds; round++)
        {
            var drafts = gate.Ask(sequences, promise).Opens;
            gate.Observe(sequences, drafts, plainSeconds: 1, drafts ? 1 / gain : 1);
            written += drafts ? gain : 1;
        }

        return written;
    }
}
