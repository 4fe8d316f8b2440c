using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class CostCurveTests
{
    [TestCase(1, 10)]
    [TestCase(2, 10)]
    [TestCase(3, 15)]
    [TestCase(4, 20)]
    [TestCase(6, 40)]
    [TestCase(10, 80)]
    public void At_BetweenAndBeyondThePoints_FollowsTheLines(int nodes, double seconds)
        => Assert.That(new CostCurve([1, 2, 4, 8], [10, 10, 20, 60]).At(nodes, 0), Is.EqualTo(seconds));

    [Test]
    public void Constructor_NoiseThatFalls_IsLevelled()
        => Assert.That(new CostCurve([1, 2, 4], [3, 2, 5]).Seconds.ToArray(), Is.EqualTo(new[] { 3.0, 3, 5 }));

    [Test]
    public void Observe_ASlowerMachine_MovesTheWholeCurve()
    {
        var curve = new CostCurve([1, 2, 4, 8], [1, 1, 1, 2]);
        for (var i = 0; i < 200; i++)
        {
            curve.Observe(1 + (i % 8), 0, 2 * new CostCurve([1, 2, 4, 8], [1, 1, 1, 2]).At(1 + (i % 8), 0));
        }

        Assert.That(curve.At(1, 0), Is.EqualTo(2).Within(0.1));
        Assert.That(curve.At(8, 0), Is.EqualTo(4).Within(0.2));
    }

    /// <summary>One node takes 1 s after 100 tokens and 3 s after 300; two nodes take 2 s and 6 s.</summary>
    [TestCase(1, 0, 1)]
    [TestCase(1, 100, 1)]
    [TestCase(1, 200, 2)]
    [TestCase(2, 200, 4)]
    [TestCase(2, 300, 6)]
    [TestCase(1, 500, 5)]
    [TestCase(3, 300, 9)]
    public void At_BetweenAndBeyondContexts_FollowsTheLines(int nodes, int context, double seconds)
        => Assert.That(new CostCurve([1, 2], [100, 300], [1, 2, 3, 6]).At(nodes, context), Is.EqualTo(seconds));

    [Test]
    public void Constructor_ALongerContextThatSeemsCheaper_IsLevelled()
        => Assert.That(new CostCurve([1, 2], [32, 1000], [2, 3, 1, 4]).Seconds.ToArray(), Is.EqualTo(new[] { 2.0, 3, 2, 4 }));

    [Test]
    public void Observe_AtALongContext_MovesThatMostAndTheShortOneLess()
    {
        var curve = new CostCurve([1, 2], [32, 2048], [1, 1.5, 2, 3]);
        for (var i = 0; i < 20; i++)
        {
            curve.Observe(1, 2048, 2.5);
        }

        Assert.That(curve.At(1, 2048), Is.EqualTo(2.5).Within(0.1));
        Assert.That(curve.At(1, 32), Is.InRange(1.001, 1.2));
    }

    [TestCase(100)]
    [TestCase(0)]
    [TestCase(-1)]
    public void Observe_ADisturbedMeasurement_ChangesNothing(double seconds)
    {
        var curve = new CostCurve([1, 2], [1, 1.5]);
        curve.Observe(2, 0, seconds);
        Assert.That(curve.Seconds.ToArray(), Is.EqualTo(new[] { 1, 1.5 }));
    }

    [Test]
    public void Constructor_WithoutATimeForEachPoint_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => _ = new CostCurve([2, 4], [1, 2]));
        Assert.Throws<ArgumentException>(() => _ = new CostCurve([1, 4], [32, 64], [1, 2, 3]));
    }
}
