using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class DrafterControlTests
{
    private const double Rate = 100;
    private const double Half = 0.5 / Rate; // the time of half a token

    [Test]
    public void ShouldAsk_AfterItsGainsAreSpent_PausesAndNotBefore()
    {
        var control = Tried();
        Rounds(control, 60, tokens: 1);
        var bad = Rounds(control, 100, tokens: 0);
        Assert.That(bad, Is.InRange(16, 40), "half a token lost each round, eight saved");
        Assert.That(control.ShouldAsk(Rate), Is.False);
    }

    [Test]
    public void ShouldAsk_WhoNeverGains_IsDroppedAfterTheTrial()
        => Assert.That(Rounds(Tried(), 100, tokens: 0), Is.AtMost(5));

    /// <summary>On the whole it pays: one good round in four, three tokens each, at half a token a round.</summary>
    [Test]
    public void ShouldAsk_WhoPaysOnTheWholeInBursts_IsKept()
    {
        var control = Tried();
        Rounds(control, 20, tokens: 1);
        for (var round = 0; round < 400; round++)
        {
            Assert.That(control.ShouldAsk(Rate), $"round {round}");
            control.Observe(Half, round % 16 < 4 ? 3 : 0, 1, wasRight: false, Rate);
        }
    }

    [Test]
    public void ShouldAsk_TrialAfterTrialInVain_WaitsLongerAndLonger_ThenInProportionToTheLoss()
    {
        var control = Tried();
        var pauses = Enumerable.Range(0, 5).Select(_ =>
        {
            var pause = 1; // the question that ends the rounds is the pause's first
            for (Rounds(control, 100, tokens: 0); !control.ShouldAsk(Rate); pause++)
            {
            }

            return pause;
        }).ToArray();

        Assert.That(pauses[0], Is.InRange(12, 20));
        Assert.That(pauses, Is.Ordered.Ascending);
        Assert.That(pauses[^1], Is.InRange(240, 4 * 240), "a trial of a few rounds lost one to two tokens");
    }

    [Test]
    public void SurplusAlone_IsWhatItIsWorthAloneLessItsTime()
    {
        var control = Tried();
        for (var round = 0; round < 200; round++)
        {
            control.Observe(Half, tokens: 0.6, alone: 2, wasRight: true, Rate);
        }

        Assert.That(control.SurplusAlone(Rate), Is.EqualTo(1.5).Within(0.01));
        Assert.That(control.TokensPerRound, Is.EqualTo(0.6).Within(0.01));
    }

    /// <summary>What a drafter is worth depends on who proposes besides: each set of drafters has controls of its own.</summary>
    [Test]
    public void ControlOf_TheSameDrafterInAnotherSet_BeginsAnew()
    {
        var core = new SpeculationCore([], new CostCurve([1, 2], [1, 1.1]), 16, 8);
        var control = core.ControlOf(set: 0b11, number: 1);
        Rounds(control, 100, tokens: 0);
        core.Remember(0b11, 1, control);
        Assert.That(core.ControlOf(0b11, 1).ShouldAsk(Rate), Is.False, "it rests where it did not pay");
        Assert.That(core.ControlOf(0b10, 1).ShouldAsk(Rate), Is.True, "alone it has not been tried");
        Assert.That(core.ControlOf(0b11, 0).ShouldAsk(Rate), Is.True, "nor has the other one");
    }

    /// <summary>A control whose first call, which compiles the drafter's code, is over.</summary>
    private static DrafterControl Tried()
    {
        var control = new DrafterControl();
        control.ShouldAsk(Rate);
        control.Observe(Half, 0, 0, wasRight: false, Rate);
        return control;
    }

    /// <summary>Rounds that all give the same; returns after how many the drafter is not asked any more.</summary>
    private static int Rounds(DrafterControl control, int most, double tokens)
    {
        for (var round = 0; round < most; round++)
        {
            if (!control.ShouldAsk(Rate))
            {
                return round;
            }

            control.Observe(Half, tokens, tokens, wasRight: tokens > 0, Rate);
        }

        return most;
    }
}
