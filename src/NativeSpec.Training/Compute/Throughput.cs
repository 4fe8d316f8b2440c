using System.Diagnostics;

namespace NativeSpec.Training.Compute;

/// <summary>What a run computes in a second, held against the fastest product of matrices that the machine manages in the same stretch of it.</summary>
/// <remarks>A processor's speed changes with its neighbours and its heat, so a peak measured once says little about a minute later. Between two
/// stretches the peak is measured again, which takes about a hundredth of the time and touches no weight; a stretch's share is its arithmetic
/// over the mean of the peaks before and after it. What a run does besides, reading text and writing checkpoints, counts as time.</remarks>
internal sealed class Throughput
{
    /// <summary>A product that layers multiply with, of the kind and the size that come nearest to the processor's arithmetic.</summary>
    private const int Rows = 1440, Depth = 512, Columns = 256;

    private const int Rounds = 3; // the fastest counts
    private static readonly TimeSpan Stretch = TimeSpan.FromSeconds(0.5);

    private readonly Workbench _bench;
    private readonly List<double> _shares = []; // of the stretches that are over, in ascending order
    private double _operations; // of all stretches that are over
    private double _seconds;
    private double _begun;      // the workbench's count when the stretch began
    private long _start;

    /// <summary>Measures the peak and begins the first stretch.</summary>
    public Throughput(Workbench bench)
    {
        _bench = bench;
        MeasurePeak(); // memory and code that are touched for the first time
        Peak = MeasurePeak();
        Begin();
    }

    /// <summary>Operations of a second in the last measurement of the peak.</summary>
    public double Peak { get; private set; }

    /// <summary>Operations of a second, outside of the peak's measurements.</summary>
    public double OperationsPerSecond => (_operations + _bench.Operations - _begun) / Seconds;

    /// <summary>Seconds since the beginning, without the peak's measurements.</summary>
    public double Seconds => _seconds + Stopwatch.GetElapsedTime(_start).TotalSeconds;

    /// <summary>The stretches' median share of the peak; of a run that is shorter than one, what it comes to until now.</summary>
    public double ShareOfPeak => _shares.Count == 0
        ? OperationsPerSecond / Peak
        : (_shares[(_shares.Count - 1) / 2] + _shares[_shares.Count / 2]) / 2;

    /// <summary>To be called after every step: ends a stretch that has lasted long enough.</summary>
    public void Mark()
    {
        var elapsed = Stopwatch.GetElapsedTime(_start);
        if (elapsed < Stretch)
        {
            return;
        }

        var done = _bench.Operations - _begun;
        _operations += done;
        _seconds += elapsed.TotalSeconds;
        var before = Peak;
        Peak = MeasurePeak();
        var share = done / elapsed.TotalSeconds / ((before + Peak) / 2);
        var place = _shares.BinarySearch(share);
        _shares.Insert(place < 0 ? ~place : place, share);
        Begin();
    }

    private void Begin() => (_begun, _start) = (_bench.Operations, Stopwatch.GetTimestamp());

    private double MeasurePeak()
    {
        var (dy, w, dx) = (_bench.Scratch("peak dy", Rows, Depth), _bench.Scratch("peak w", Depth, Columns), _bench.Scratch("peak dx", Rows, Columns));
        var (best, counted) = (0.0, _bench.Operations);
        for (var round = 0; round < Rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            _bench.MultiplyBack(dy, w, dx, Rows);
            best = Math.Max(best, 2.0 * Rows * Depth * Columns / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        _bench.Count(counted - _bench.Operations);
        return best;
    }
}
