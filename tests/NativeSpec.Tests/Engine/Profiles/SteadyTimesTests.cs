using NativeSpec.Engine.Profiles;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Engine.Profiles;

/// <summary>A machine of bytes and operations on which others work too, in simulated time.</summary>
public sealed class SteadyTimesTests
{
    private static readonly int[] Sizes = [1, 2, 4, 8, 16, 32, 64];

    /// <summary>Reading takes 1 ms, whatever is computed; a node's operations take 0.05 ms beside it.</summary>
    private static double Truth(int nodes) => 1e-3 + (5e-5 * nodes);

    [Test]
    public void Measure_AQuietMachine_BelievesAllAfterFourRunsEach()
    {
        var runs = 0;
        var times = new SteadyTimes(Sizes, n => Truth(n) * (1 + (0.03 * (++runs % 3))), budget: 3).Measure();
        Assert.That(times.IsSteady, Has.All.True);
        Assert.That(times.Seconds, Is.EqualTo(Sizes.Select(Truth)).Within(3).Percent);
        Assert.That(runs, Is.EqualTo(4 * Sizes.Length));
    }

    /// <summary>Two busy loops on two cores: three forwards in four are put aside for a time slice, or lose the half of their threads.</summary>
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [TestCase(4)]
    public void Measure_ABusyMachine_FindsTheQuietTimes(int seed)
    {
        var times = new SteadyTimes(Sizes, Busy(seed), budget: 3).Measure();
        for (var i = 0; i < Sizes.Length; i++)
        {
            Assert.That(times.Seconds[i], Is.EqualTo(Truth(Sizes[i])).Within(times.IsSteady[i] ? 6 : 45).Percent, "what is believed is right");
        }

        Assert.That(times.IsSteady.Count(steady => steady), Is.AtLeast(3), "and most is believed");
    }

    /// <summary>The mutant is the probe as it was, the fastest of three runs: the same machine deceives it.</summary>
    [Test]
    public void Measure_WithoutTheChecks_WouldBelieveABusyMachine()
        => Assert.That(Enumerable.Range(1, 4).Max(seed => FastestOfThree(Busy(seed)).Zip(Sizes, (seconds, n) => seconds / Truth(n)).Max()), Is.GreaterThan(1.5));

    /// <summary>A neighbour takes half of the machine for as long as the first size's first runs: these agree with each other, and only the
    /// shape betrays them.</summary>
    [Test]
    public void Measure_FewerNodesSeemSlower_TimesThemAgain()
    {
        var ones = 0;
        var times = new SteadyTimes(Sizes, n => n == 1 && ++ones <= 6 ? 2 * Truth(1) : Truth(n), budget: 3).Measure();
        Assert.That(times.Seconds[0], Is.EqualTo(Truth(1)).Within(0.1).Percent);
        Assert.That(times.IsSteady, Has.All.True);
    }

    [Test]
    public void Measure_ASizeFarAboveItsNeighbours_IsTimedAgain()
    {
        var eights = 0;
        var times = new SteadyTimes(Sizes, n => n == 8 && ++eights <= 6 ? 2 * Truth(8) : Truth(n), budget: 3).Measure();
        Assert.That(times.Seconds[3], Is.EqualTo(Truth(8)).Within(0.1).Percent);
    }

    [Test]
    public void Measure_ASizeThatIsTrulySlow_IsBelievedInTheEnd()
    {
        var times = new SteadyTimes(Sizes, n => n == 8 ? 2 * Truth(8) : Truth(n), budget: 3).Measure();
        Assert.That(times.Seconds[3], Is.EqualTo(2 * Truth(8)));
        Assert.That(times.IsSteady, Has.All.True);
    }

    [Test]
    public void Measure_NoTwoRunsAlike_SaysSoAndEndsInTime()
    {
        var (runs, spent) = (0, 0.0);
        var times = new SteadyTimes(Sizes, n =>
        {
            var seconds = Truth(n) * Math.Pow(0.93, runs++ / Sizes.Length); // each pass is faster than the one before
            spent += seconds;
            return seconds;
        }, budget: 1).Measure();
        Assert.That(times.IsSteady, Has.Some.False);
        Assert.That(times.Spread, Has.Some.EqualTo(CostCurve.Disturbed));
        Assert.That(spent, Is.LessThan(1.2));
    }

    [Test]
    public void Measure_ALargeModel_LeavesOutWhatTakesTooLong()
    {
        var times = new SteadyTimes(Sizes, n => 600 * Truth(n), budget: 3).Measure();
        Assert.That(times.Count, Is.EqualTo(3), "of 0.63, 0.66, 0.72 and 0.84 seconds those that begin within two");
        Assert.That(times.Spread, Has.All.LessThan(CostCurve.Disturbed / 2), "runs of this length are averages over many time slices");
    }

    private static Func<int, double> Busy(int seed)
    {
        var random = new Random(seed);
        return nodes => random.Next(4) == 0 ? Truth(nodes) : (Truth(nodes) * (1.5 + random.NextDouble())) + (random.Next(3) == 0 ? 3e-3 : 0);
    }

    private static double[] FastestOfThree(Func<int, double> time) => [.. Sizes.Select(n => Enumerable.Range(0, 3).Min(_ => time(n)))];
}
