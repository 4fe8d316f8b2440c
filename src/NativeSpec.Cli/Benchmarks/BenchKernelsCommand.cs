using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks;

/// <summary><c>nativespec bench kernels</c>: each operation against the roof that memory and arithmetic put over it (Williams et al.,
/// Roofline, 2009).</summary>
internal sealed class BenchKernelsCommand : Command, IHasExamples
{
    private const double LeastSeconds = 0.002; // a measurement shorter than this is of several passes
    private readonly Terminal _terminal;
    private readonly ComputeFlags _compute;
    private readonly Option<string> _shape = new("--shape") { Description = "The model's shape, or a config.json (default 110m)", HelpName = $"{string.Join('|', BenchShapes.All.Keys)}|FILE", DefaultValueFactory = _ => "110m" };
    private readonly Option<string> _nodes = new("--nodes") { Description = "Numbers of nodes (default 1,8,64)", HelpName = "LIST", DefaultValueFactory = _ => "1,8,64" };
    private readonly Option<int> _context = new("--context") { Description = "Tokens before the nodes (default 128)", HelpName = "N", DefaultValueFactory = _ => 128 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Repeats of all measurements, of which the median counts (default 9)", HelpName = "N", DefaultValueFactory = _ => 9 };
    private readonly Option<bool> _json = CommonOptions.Json();

    public BenchKernelsCommand(Terminal terminal)
        : base("kernels", "Each operation of a forward with random weights: time, GB/s, GFLOP/s, and the share of what memory and arithmetic allow")
    {
        _terminal = terminal;
        _compute = ComputeFlags.ForRandomWeights(terminal);
        Option[] options = [_shape, _nodes, _context, _repeats, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples => ["nativespec bench kernels --shape tinyllama-1.1b --weights q8", "nativespec bench kernels --nodes 1,4,16 --backend cpu --json"];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (shape, context, repeats) = (parsed.GetValue(_shape)!, parsed.GetValue(_context), parsed.GetValue(_repeats));
        var nodes = CommonOptions.ParseIds("--nodes", parsed.GetValue(_nodes)!).Distinct().Order().ToArray();
        CommonOptions.RequireAtLeast("--nodes", nodes[0], 1);
        CommonOptions.RequireAtLeast("--context", context, 0);
        CommonOptions.RequireAtLeast("--repeats", repeats, 1);
        var config = BenchShapes.Find(shape);
        if (nodes[^1] > 1024 || (long)context + nodes[^1] > config.MaxPositionEmbeddings)
        {
            throw new UsageException($"--nodes goes to {nodes[^1]} after {context} tokens; expected at most 1024, and {config.MaxPositionEmbeddings} in all");
        }

        var options = _compute.Apply(parsed, new EngineOptions());
        using var model = new BenchModel(config, options);
        if (model.Backend is CudaBackend)
        {
            if (nodes[^1] > CudaLayout.RoundRows)
            {
                throw new UsageException($"--nodes goes to {nodes[^1]}; on a CUDA device expected at most {CudaLayout.RoundRows}, which one graph computes");
            }

            var device = new DeviceKernels(model, context, nodes, repeats, cancellationToken);
            if (parsed.GetValue(_json))
            {
                JsonOutput.Print(_terminal.Out, json => device.Write(json, shape));
            }
            else
            {
                device.Print(_terminal, shape);
            }

            return CommandLine.Success;
        }

        using var cases = new KernelCases(model, context, nodes[^1]);
        var peak = new PeakArithmetic(new CpuOptions { Threads = options.Threads }.ResolveThreads());
        var measured = new Roofline([.. nodes.SelectMany(cases.Of)], model, peak);
        for (var repeat = -1; repeat < repeats; repeat++)
        {
            measured.Repeat(LeastSeconds, counts: repeat >= 0, cancellationToken);
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("shape", shape);
                json.WriteString("backend", model.Backend.Description);
                json.WriteNumber("context", context);
                json.WriteMeasurement("read_gb_per_second", measured.ReadGBPerSecond);
                json.WriteMeasurement("f32_gflop_per_second", measured.GFlopPerSecond);
                json.WriteStartArray("operations");
                foreach (var operation in measured.Operations)
                {
                    json.WriteStartObject();
                    json.WriteString("name", operation.Case.Name);
                    json.WriteNumber("nodes", operation.Case.Rows);
                    json.WriteMeasured("us", operation.Seconds * 1e6);
                    json.WriteMeasured("gb_per_second", operation.GBPerSecond);
                    json.WriteMeasured("gflop_per_second", operation.GFlopPerSecond);
                    json.WriteMeasured("fraction_of_roof", operation.Fraction);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            });
            return CommandLine.Success;
        }

        _terminal.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{shape} after {context} tokens; {model.Backend.Description}; roofs: reading {measured.ReadGBPerSecond.Median:0.0} GB/s, F32 arithmetic {measured.GFlopPerSecond.Median:0} GFLOP/s"));
        Tables.Print(_terminal, ["operation", "nodes", "µs", "GB/s", "GFLOP/s", "of roof"], 1, measured.Operations.Select(operation => new[]
        {
            operation.Case.Name, operation.Case.Rows.ToString(CultureInfo.InvariantCulture), Number(operation.Seconds * 1e6, "0.0"), Number(operation.GBPerSecond, "0.0"),
            Number(operation.GFlopPerSecond, "0.0"), Number(operation.Fraction, "0.00"),
        }));
        _terminal.Out.WriteLine("Above 1: what a cache held, or packed weights, whose products are of bytes and faster than F32's.");
        return CommandLine.Success;

        static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}

/// <summary>Medians of one operation.</summary>
internal readonly record struct OperationTime(KernelCase Case, double Seconds, double Fraction)
{
    public double GBPerSecond => Case.Bytes / Seconds / 1e9;

    public double GFlopPerSecond => 2 * Case.MultiplyAdds / Seconds / 1e9;
}

/// <summary>Measures operations and both roofs in turn; shares are taken within a repeat.</summary>
internal sealed class Roofline(KernelCase[] cases, BenchModel model, PeakArithmetic peak)
{
    private readonly List<double> _reads = [], _peaks = [];
    private readonly List<double>[] _seconds = [.. cases.Select(_ => new List<double>())];

    public Measurement ReadGBPerSecond => Measurement.Of(_reads);

    public Measurement GFlopPerSecond => Measurement.Of(_peaks.Select(rate => 2 * rate));

    public IEnumerable<OperationTime> Operations => cases.Select((one, i) => new OperationTime(
        one,
        Measurement.Of(_seconds[i]).Median,
        Measurement.Of(_seconds[i].Select((seconds, repeat) => Math.Max(one.Bytes / _reads[repeat], one.MultiplyAdds / _peaks[repeat]) / 1e9 / seconds)).Median));

    /// <summary>Measures everything once.</summary>
    public void Repeat(double leastSeconds, bool counts, CancellationToken cancellationToken)
    {
        var (read, rate) = (model.MeasureReading(), peak.Measure());
        for (var i = 0; i < cases.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (began, passes) = (Stopwatch.GetTimestamp(), 0);
            do
            {
                cases[i].Run();
                passes++;
            }
            while (Stopwatch.GetElapsedTime(began).TotalSeconds < leastSeconds);

            if (counts)
            {
                _seconds[i].Add(Stopwatch.GetElapsedTime(began).TotalSeconds / passes / cases[i].Calls);
            }
        }

        if (counts)
        {
            _reads.Add(read);
            _peaks.Add(rate);
        }
    }
}
