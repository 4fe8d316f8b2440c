using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

public sealed class CostCurveTests
{
    [TestCase(1, 10)]
    [TestCase(2, 10)]
    [TestCase(3, 15)]
    [TestCase(4, 20)]
    [TestCase(6, 40)]
    [TestCase(10, 80)]
    public void At_BetweenAndBeyondThePoints_FollowsTheLines(int nodes, double seconds)
        => Assert.That(new CostCurve([1, 2, 4, 8], [10, 10, 20, 60]).At(nodes), Is.EqualTo(seconds));

    [Test]
    public void Constructor_NoiseThatFalls_IsLevelled()
        => Assert.That(new CostCurve([1, 2, 4], [3, 2, 5]).Seconds.ToArray(), Is.EqualTo(new[] { 3.0, 3, 5 }));

    [Test]
    public void Observe_ASlowerMachine_MovesTheWholeCurve()
    {
        var curve = new CostCurve([1, 2, 4, 8], [1, 1, 1, 2]);
        for (var i = 0; i < 200; i++)
        {
            curve.Observe(1 + (i % 8), 2 * new CostCurve([1, 2, 4, 8], [1, 1, 1, 2]).At(1 + (i % 8)));
        }

        Assert.That(curve.At(1), Is.EqualTo(2).Within(0.1));
        Assert.That(curve.At(8), Is.EqualTo(4).Within(0.2));
    }

    [TestCase(100)]
    [TestCase(0)]
    [TestCase(-1)]
    public void Observe_ADisturbedMeasurement_ChangesNothing(double seconds)
    {
        var curve = new CostCurve([1, 2], [1, 1.5]);
        curve.Observe(2, seconds);
        Assert.That(curve.Seconds.ToArray(), Is.EqualTo(new[] { 1, 1.5 }));
    }

    [Test]
    public void Constructor_WithoutATimeForOneNode_IsRefused()
        => Assert.Throws<ArgumentException>(() => _ = new CostCurve([2, 4], [1, 2]));
}
