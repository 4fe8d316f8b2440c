using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation;

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
        using var rounds = new SimulatedRounds(clock, drafter, One, costPerNode * One);

        double[] rates = [.. Prompts.Select(prompt => rounds.Write(prompt, 192).Rate * One)];

        Assert.That(drafter.Asked, Is.Positive, "it was given its chance");
        Assert.That(rates.Order().ElementAt(rates.Length / 2), Is.AtLeast(Allowed), $"median of [{string.Join(", ", rates.Select(r => $"{r:0.000}"))}]");
        Assert.That(rates.Length / rates.Sum(rate => 1 / rate), Is.AtLeast(Allowed), "all texts together, the first request's trials included");
    }

    [Test]
    public void Auto_WhenAcceptanceReturns_IsFastAgainSoon([Values(0.05, 0.3)] double draftCost)
    {
        var clock = new SimulatedClock();
        var drafter = new SimulatedDrafter(clock, draftCost * One, 0.8f);
        using var rounds = new SimulatedRounds(clock, drafter, One, 0.05 * One);
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
        using var rounds = new SimulatedRounds(clock, drafter, One, 0.05 * One);
        drafter.Knows = [TestConfigs.Tiny.VocabSize - 9];
        var text = rounds.Write(7, 300).Text;
        drafter.Knows = [.. text, .. new int[8]];

        Assert.That(rounds.Write(7, 300).Rate * One, Is.AtLeast(1.5), "also after a text in which it was always wrong");
    }
}
