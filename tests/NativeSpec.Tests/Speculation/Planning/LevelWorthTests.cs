using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class LevelWorthTests
{
    /// <summary>A level that once seemed dear is timed again within a few dozen rounds, whatever it seemed to cost.</summary>
    [Test]
    public void IsTimeToTry_AfterABadMoment_ComesWithinAHundredRounds()
    {
        var level = new LevelWorth();
        level.ObserveSeconds(1, 1e-3);
        level.ObserveSeconds(1, 100);
        Assert.That(Enumerable.Range(0, 100).Count(_ => level.IsTimeToTry()), Is.EqualTo(1));
    }

    /// <summary>The first level compiles its code: what it took is no measure of the others.</summary>
    [Test]
    public void ObserveSeconds_TheVeryFirst_SaysNothing()
    {
        var level = new LevelWorth();
        level.ObserveSeconds(1, 5);
        Assert.That(level.SecondsOf(1), Is.Zero);
        level.ObserveSeconds(1, 1e-3);
        Assert.That(level.SecondsOf(1), Is.EqualTo(1e-3));
    }

    /// <summary>A disturbed measurement counts as four usual ones, so the next good ones outweigh it soon.</summary>
    [Test]
    public void ObserveSeconds_ADisturbedOne_CountsAsASlowOne()
    {
        var level = new LevelWorth();
        for (var i = 0; i < 30; i++)
        {
            level.ObserveSeconds(1, 1e-3);
        }

        level.ObserveSeconds(1, 10);
        Assert.That(level.SecondsOf(1), Is.LessThan(1.5e-3));
    }
}
