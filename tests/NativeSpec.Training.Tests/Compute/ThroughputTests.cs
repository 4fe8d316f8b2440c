using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Tests.Compute;

/// <summary>What a run says of its speed.</summary>
public sealed class ThroughputTests
{
    [Test]
    public void Throughput_MeasuringThePeak_CountsNothing()
    {
        using var bench = new Workbench(threads: 1);
        bench.Count(7);
        _ = new Throughput(bench);
        Assert.That(bench.Operations, Is.EqualTo(7));
    }

    /// <summary>However long it takes, arithmetic per second over the peak's is what was done over what could have been.</summary>
    [Test]
    public void ShareOfPeak_BeforeAStretchIsOver_IsTheRatioUntilNow()
    {
        using var bench = new Workbench(threads: 1);
        var throughput = new Throughput(bench);
        bench.Count(1e6);
        var (before, share, after) = (throughput.OperationsPerSecond, throughput.ShareOfPeak, throughput.OperationsPerSecond);
        Assert.That(share, Is.InRange(after / throughput.Peak, before / throughput.Peak));
    }

    [Test]
    public void Mark_AfterAStretch_MeasuresThePeakAgain()
    {
        using var bench = new Workbench(threads: 1);
        var throughput = new Throughput(bench);
        Thread.Sleep(600); // longer than a stretch
        bench.Count(1e6);
        throughput.Mark();
        var share = throughput.ShareOfPeak;
        bench.Count(1e9); // of the next stretch, which is not over
        throughput.Mark();
        Assert.That(throughput.ShareOfPeak, Is.EqualTo(share));
        Assert.That(throughput.OperationsPerSecond, Is.GreaterThan(1e6));
    }
}
