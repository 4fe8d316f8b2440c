using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class LevelWorthTests
{
    /// <summary>A level that is not expected to pay is timed again as often as the allowance pays for it: the dearer, the rarer.</summary>
    [TestCase(0.001)]
    [TestCase(0.3)]
    [TestCase(5)]
    public void IsTimeToTry_TakesTheAllowanceAndNoMore(double cost)
    {
        const int Rounds = 10_000;
        var level = new LevelWorth();
        var spent = Enumerable.Range(0, Rounds).Count(_ => level.IsTimeToTry(cost)) * cost;
        Assert.That(spent, Is.AtMost(Rounds * DrafterAccount.Allowance));
        Assert.That(spent, Is.AtLeast(Math.Min(Rounds * cost, (Rounds * DrafterAccount.Allowance) - cost) * 0.95));
    }

    [Test]
    public void IsTimeToTry_WhereTheCostMakesNoSense_IsNot([Values(double.NaN, double.PositiveInfinity)] double cost)
        => Assert.That(new LevelWorth().IsTimeToTry(cost), Is.False);
}
