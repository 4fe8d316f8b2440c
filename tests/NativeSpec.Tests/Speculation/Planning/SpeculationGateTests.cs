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
