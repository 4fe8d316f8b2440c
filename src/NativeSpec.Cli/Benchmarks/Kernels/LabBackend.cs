using System.Diagnostics;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>Medians of one operation on one backend, with caches warm or cold.</summary>
/// <param name="Case">What was measured.</param>
/// <param name="Seconds">Of a call.</param>
/// <param name="Fraction">The share of what memory and arithmetic allow, by their roofs in the same repeat.</param>
internal readonly record struct OperationTime(KernelCase Case, double Seconds, double Fraction)
{
    public double GBPerSecond => Case.Bytes / Seconds / 1e9;

    public double GFlopPerSecond => 2 * Case.MultiplyAdds / Seconds / 1e9;
}

/// <summary>The cases on one backend, and the roofs over them, measured in turn; shares are taken within a repeat.</summary>
internal sealed class LabBackend : IDisposable
{
    private const double LeastSeconds = 0.002; // a measurement shorter than this is of several passes

    private readonly KernelCases _made;
    private readonly KernelCase[] _cases;
    private readonly PeakArithmetic? _peak;
    private readonly List<double> _reads = [], _peaks = [];
    private readonly List<double>[] _warm, _cold;

    /// <summary>Puts the cases on the model's backend.</summary>
    /// <param name="name">What the command line calls it.</param>
    /// <param name="model">The weights; this object's own from here on.</param>
    /// <param name="context">Tokens before the nodes.</param>
    /// <param name="nodes">Numbers of nodes.</param>
    /// <param name="threads">Threads of the processor whose arithmetic is the roof.</param>
    public LabBackend(string name, BenchModel model, int context, int[] nodes, int threads)
    {
        (Name, Model) = (name, model);
        _made = new KernelCases(model, context, nodes[^1]);
        _cases = [.. nodes.SelectMany(_made.Of)];
        HasOwnMemory = model.Backend.MeasureCopying() is not null;
        _peak = HasOwnMemory ? null : new PeakArithmetic(threads); // a device's arithmetic is not measured here
        _warm = [.. _cases.Select(_ => new List<double>())];
        _cold = [.. _cases.Select(_ => new List<double>())];
    }

    /// <summary>What the command line calls it.</summary>
    public string Name { get; }

    /// <summary>The weights, on the backend.</summary>
    public BenchModel Model { get; }

    /// <summary>Whether it computes in a device's memory: then its caches are the device's as well.</summary>
    public bool HasOwnMemory { get; }

    /// <summary>The operations that it does not compute alone, and why.</summary>
    public IReadOnlyDictionary<string, string> Refused => _made.Refused;

    /// <summary>The roof of memory; on a device, what it copies.</summary>
    public Measurement ReadGBPerSecond => Measurement.Of(_reads);

    /// <summary>The roof of arithmetic, where it is known.</summary>
    public Measurement? GFlopPerSecond => _peak is null ? null : Measurement.Of(_peaks.Select(rate => 2 * rate));

    /// <summary>The operations with what they use in a cache, as far as it fits.</summary>
    public IEnumerable<OperationTime> Warm => Times(_warm);

    /// <summary>The operations with what they use in memory.</summary>
    public IEnumerable<OperationTime> Cold => Times(_cold);

    /// <summary>Measures everything once.</summary>
    /// <param name="evict">Empties the caches.</param>
    /// <param name="counts">False for the first time, when pages are touched and code is compiled.</param>
    /// <param name="cancellationToken">Looked at before each operation.</param>
    public void Repeat(Action evict, bool counts, CancellationToken cancellationToken)
    {
        var (read, rate) = (Model.MeasureReading(), _peak?.Measure() ?? double.PositiveInfinity);
        for (var i = 0; i < _cases.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _cases[i].RunWarm();
            var (began, passes) = (Stopwatch.GetTimestamp(), 0);
            do
            {
                _cases[i].RunWarm();
                passes++;
            }
            while (Stopwatch.GetElapsedTime(began).TotalSeconds < LeastSeconds);

            var warm = Stopwatch.GetElapsedTime(began).TotalSeconds / passes / _cases[i].Calls;
            evict();
            began = Stopwatch.GetTimestamp();
            _cases[i].Run();
            var cold = Stopwatch.GetElapsedTime(began).TotalSeconds / _cases[i].Calls;
            if (counts)
            {
                _warm[i].Add(warm);
                _cold[i].Add(cold);
            }
        }

        if (counts)
        {
            _reads.Add(read);
            _peaks.Add(rate);
        }
    }

    public void Dispose()
    {
        _made.Dispose();
        Model.Dispose();
    }

    private IEnumerable<OperationTime> Times(List<double>[] seconds) => _cases.Select((one, i) => new OperationTime(
        one,
        Measurement.Of(seconds[i]).Median,
        Measurement.Of(seconds[i].Select((took, repeat) => Math.Max(one.Bytes / _reads[repeat], one.MultiplyAdds / _peaks[repeat]) / 1e9 / took)).Median));
}
