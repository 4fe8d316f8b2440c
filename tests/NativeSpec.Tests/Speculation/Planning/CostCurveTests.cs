using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class CostCurveTests
{
    [TestCase(1, 10)]
    [TestCase(2, 10)]
    [TestCase(3, 15)]
    [TestCase(4, 20)]
    [TestCase(6, 28)]
    [TestCase(10, 44)]
    public void At_BetweenAndBeyondThePoints_FollowsTheLines(int nodes, double seconds)
        => Assert.That(new CostCurve([1, 2, 4, 8], [10, 10, 20, 36]).At(nodes, 0), Is.EqualTo(seconds));

    [Test]
    public void Constructor_FewerNodesThatSeemSlower_AreNotBelieved()
        => Assert.That(new CostCurve([1, 2, 4], [3, 2, 4]).Seconds.ToArray(), Is.EqualTo(new[] { 2.0, 2, 4 }));

    /// <summary>Twice the nodes never take more than twice the time, so a point that says so was disturbed.</summary>
    [Test]
    public void Constructor_MoreNodesThatSeemSlowerThanAsManyForwards_AreNotBelieved()
        => Assert.That(new CostCurve([1, 2, 4], [1, 1.5, 9]).Seconds.ToArray(), Is.EqualTo(new[] { 1.0, 1.5, 3 }).Within(1e-12));

    /// <summary>A steady measurement is believed, and one that could not be repeated gives way, whichever of them is the faster.</summary>
    [Test]
    public void Constructor_OfPointsThatContradictEachOther_BelievesTheBetterKnown()
        => Assert.That(
            new CostCurve([1, 2], [0], [2, 1], [CostCurve.Steady, CostCurve.Disturbed]).Seconds.ToArray(), Is.EqualTo(new[] { 2.0, 2 }).Within(1e-12));

    /// <summary>Texts alone and with one candidate in turns, where what two nodes take seemed less at first than what one takes: a mean that is not believed must not carry the
    /// points away that nobody computes. (Where rounds were compared with what is believed, seeds 4 and 5 ended at half as much again.)</summary>
    [Test]
    public void Observe_OneAndTwoNodesForLong_LeavesWhatNobodyComputesInItsPlace([Range(1, 6)] int seed)
    {
        var random = new Random(seed);
        double[] truth = [0.35, 0.45, 0.65, 1.2, 2.4, 4.6];
        var curve = new CostCurve([1, 2, 4, 8, 16, 32], [32, 320], [.. truth.Select((t, i) => i == 1 ? 0.8 * truth[0] : t), .. truth.Select(t => 1.05 * t)]);
        for (var i = 0; i < 6000; i++)
        {
            var two = i / 64 % 2 == 1;
            curve.Observe(two ? 2 : 1, 30 + (i % 64), (two ? 0.45 : 0.35) * (1 + (0.3 * random.NextDouble() * random.NextDouble())) * (random.Next(50) == 0 ? 8 : 1));
        }

        Assert.That(curve.At(1, 60), Is.EqualTo(0.38).Within(10).Percent);
        Assert.That(curve.At(2, 60), Is.EqualTo(0.49).Within(10).Percent);
        Assert.That(curve.At(16, 60) / curve.At(1, 60), Is.EqualTo(truth[4] / truth[0]).Within(40).Percent);
    }

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
    public void Constructor_AShorterContextThatSeemsSlower_IsNotBelieved()
        => Assert.That(new CostCurve([1, 2], [32, 1000], [2, 2, 1, 4]).Seconds.ToArray(), Is.EqualTo(new[] { 1.0, 2, 1, 2 }));

    [Test]
    public void Observe_AtALongContext_MovesThatMostAndTheShortOneLess()
    {
        var curve = new CostCurve([1, 2], [32, 2048], [1, 1.5, 2, 3]);
        for (var i = 0; i < 20; i++)
        {
            curve.Observe(1, 2048, 2.5);
        }

        Assert.That(curve.At(1, 2048), Is.EqualTo(2.5).Within(0.1));
        Assert.That(curve.At(1, 32), Is.InRange(1.1, 1.249), "a little less than in proportion");
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(double.NaN)]
    public void Observe_NoTime_ChangesNothing(double seconds)
    {
        var curve = new CostCurve([1, 2], [1, 1.5]);
        curve.Observe(2, 0, seconds);
        Assert.That(curve.Seconds.ToArray(), Is.EqualTo(new[] { 1, 1.5 }));
    }

    /// <summary>One forward in ten is put aside for many times its length; what is left is the usual time.</summary>
    [Test]
    public void Observe_DisturbedForwardsNowAndThen_HardlyMoveTheCurve()
    {
        var curve = new CostCurve([1, 2, 4, 8], [1, 1.1, 1.3, 1.7]);
        for (var i = 0; i < 300; i++)
        {
            curve.Observe(1 + (i % 4), 0, new CostCurve([1, 2, 4, 8], [1, 1.1, 1.3, 1.7]).At(1 + (i % 4), 0) * (i % 10 == 5 ? 40 : 1));
        }

        Assert.That(curve.At(1, 0), Is.EqualTo(1).Within(8).Percent);
        Assert.That(curve.At(8, 0) / curve.At(1, 0), Is.EqualTo(1.7).Within(3).Percent);
    }

    /// <summary>Measured while a neighbour had half of the machine, in all points alike: rounds of one node alone correct them all.</summary>
    [Test]
    public void Observe_AMachineThatWasBusyWhenItWasMeasured_CorrectsAllPointsInAFewRounds()
    {
        var curve = new CostCurve([1, 2, 4, 8], [2, 2.2, 2.6, 3.4]);
        for (var i = 0; i < 10; i++)
        {
            curve.Observe(1, 0, 1);
        }

        Assert.That(curve.At(1, 0), Is.EqualTo(1).Within(5).Percent);
        Assert.That(curve.At(8, 0), Is.EqualTo(1.7).Within(12).Percent);
    }

    /// <summary>A point that could not be repeated learns from few rounds, and does not take the others along.</summary>
    [Test]
    public void Observe_APointThatWasDisturbed_IsCorrectedByItself()
    {
        var curve = new CostCurve([1, 2, 4, 8], [0], [1, 1.1, 2.6, 2.7], [CostCurve.Steady, CostCurve.Steady, CostCurve.Disturbed, CostCurve.Disturbed]);
        for (var i = 0; i < 12; i++)
        {
            curve.Observe(1, 0, 1);
            curve.Observe(4, 0, 1.3);
        }

        Assert.That(curve.At(4, 0), Is.EqualTo(1.3).Within(6).Percent);
        Assert.That(curve.At(1, 0), Is.EqualTo(1).Within(6).Percent);
        Assert.That(curve.SpreadOf(2), Is.LessThan(CostCurve.Disturbed / 2), "by now it is known");
        Assert.That(curve.Rounds, Is.EqualTo(24));
    }

    /// <summary>Rounds of one node alone say nothing of two, so the longer none is computed the less is sure about them; a round of two says all.</summary>
    [Test]
    public void HopefullyAt_WhatIsNotComputedForLong_ComesIntoReachAndIsFoundOut()
    {
        var curve = new CostCurve([1, 2, 4], [1, 2, 4]); // further nodes cost nothing in truth
        var first = Further();
        for (var i = 0; i < 2000; i++)
        {
            curve.Observe(1, 0, 1);
        }

        var later = Further();
        for (var i = 0; i < 20; i++)
        {
            curve.Observe(2, 0, 1);
            curve.Observe(1, 0, 1);
        }

        Assert.That(first, Is.GreaterThan(0.75), "a further node is thought to cost nearly what it could bring");
        Assert.That(later, Is.LessThan(0.7));
        Assert.That(curve.At(2, 0), Is.EqualTo(1).Within(0.1));

        double Further() => (curve.HopefullyAt(2, 0) - curve.HopefullyAt(1, 0)) / curve.HopefullyAt(1, 0);
    }

    /// <summary>Eight texts at once where two nodes were measured, and their lines cross: the longer context would cost less than nothing.</summary>
    [Test]
    public void Observe_FarBeyondPointsThatContradictEachOther_StaysPositiveAndFinite()
    {
        var curve = new CostCurve([1, 2], [32, 1984], [1, 2, 2, 2]);
        Assert.That(curve.At(8, 4096), Is.EqualTo(curve.At(8, 32)));
        ObserveFarBeyond(curve);
    }

    /// <summary>One point that all others contradict a thousandfold.</summary>
    [Test]
    public void Observe_FarBeyondPointsOfWhichOneIsAbsurd_StaysPositiveAndFinite() => ObserveFarBeyond(new CostCurve([1, 2], [32, 1984], [0.001, 1, 1, 1]));

    private static void ObserveFarBeyond(CostCurve curve)
    {
        for (var i = 0; i < 10; i++)
        {
            curve.Observe(8, 4096, 2);
        }

        Assert.That(curve.Seconds.ToArray(), Has.All.Positive.And.All.Matches<double>(double.IsFinite));
        Assert.That(curve.At(8, 4096), Is.Positive);
        Assert.That(curve.Rounds, Is.EqualTo(10));
    }

    [Test]
    public void Constructor_WithoutATimeForEachPoint_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => _ = new CostCurve([2, 4], [1, 2]));
        Assert.Throws<ArgumentException>(() => _ = new CostCurve([1, 4], [32, 64], [1, 2, 3]));
    }
}
