using System.Globalization;
using System.Text.Json;
using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Model;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>The kernels of whole forwards on a device, by its own events: each alone, launched as the forward does, and beside them the forward as one
/// graph with its upload, its download and its wait.</summary>
internal sealed class DeviceKernels
{
    private readonly BenchModel _model;
    private readonly int _context;
    private readonly CudaCeilings _ceilings;
    private readonly List<(int Nodes, Measurement Forward, IReadOnlyList<KernelTime> Kernels)> _forwards = [];

    /// <summary>Measures.</summary>
    /// <param name="model">Weights on a CUDA device.</param>
    /// <param name="context">Tokens before the nodes.</param>
    /// <param name="nodes">Numbers of nodes, 1 to 64 each.</param>
    /// <param name="repeats">Launches of a kernel, and forwards, of which the median counts.</param>
    /// <param name="cancellationToken">Looked at between forwards.</param>
    public DeviceKernels(BenchModel model, int context, int[] nodes, int repeats, CancellationToken cancellationToken)
    {
        (_model, _context) = (model, context);
        (CopiedGBPerSecond, _ceilings) = (model.MeasureReading(), CudaCeilings.Measure((CudaBackend)model.Backend));
        const int Most = CudaLayout.RoundRows;
        using var llama = new LlamaModel(model.Config, model.Tensors, model.Backend, new ForwardLimits(Most, Most, 1, context + Most));
        using var cache = llama.CreateCache(context + Most + RowBatch.PageSize);
        using var sequence = cache.TryOpen(context + Most)!;
        var forest = new Forest(1);
        for (var at = 0; at < context; at += Most)
        {
            Forward(Math.Min(Most, context - at));
            sequence.CommitChain(Math.Min(Most, context - at));
        }

        foreach (var n in nodes)
        {
            Forward(n);
            Forward(n); // from here on a graph
            var seconds = new double[repeats];
            for (var i = 0; i < repeats; i++)
            {
                var began = System.Diagnostics.Stopwatch.GetTimestamp();
                Forward(n);
                seconds[i] = System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds;
            }

            _forwards.Add((n, Measurement.Of(seconds), ((CudaProgram)llama.Program).Measure(repeats)));
        }

        void Forward(int count)
        {
            var tree = new TokenTree(count);
            for (var node = 0; node < count; node++)
            {
                tree.Add(node - 1, ((node * 7919) + 1) % model.Config.VocabSize);
            }

            forest.Clear();
            forest.Add(sequence, tree, 0);
            llama.Forward(forest, cancellationToken);
        }
    }

    /// <summary>What the device copies, read and written bytes alike.</summary>
    public double CopiedGBPerSecond { get; }

    /// <summary>Fields of the backend's object.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteMeasured("copied_gb_per_second", CopiedGBPerSecond);
        json.WriteMeasured("read_gb_per_second", _ceilings.ReadBytes / 1e9);
        json.WriteMeasured("mma_tflops", 2 * _ceilings.MultiplyAdds / 1e12);
        json.WriteStartArray("forwards");
        foreach (var (nodes, forward, kernels) in _forwards)
        {
            json.WriteStartObject();
            json.WriteNumber("nodes", nodes);
            json.WriteMeasurement("us", new Measurement(forward.Median * 1e6, forward.Min * 1e6, forward.Max * 1e6));
            json.WriteStartArray("kernels");
            foreach (var kernel in kernels)
            {
                json.WriteStartObject();
                json.WriteString("name", kernel.Name);
                json.WriteNumber("launches", kernel.Launches);
                json.WriteMeasured("us", kernel.Seconds * 1e6);
                json.WriteMeasured("weight_gb_per_second", kernel.WeightBytes / kernel.Seconds / 1e9);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public void Print(Terminal terminal, string shape)
    {
        terminal.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{shape} after {_context} tokens; {_model.Backend.Description}; copies {CopiedGBPerSecond:0} GB/s, read and written; reads {_ceilings.ReadBytes / 1e9:0} GB/s; multiplies {2 * _ceilings.MultiplyAdds / 1e12:0.0} TFLOP/s in BF16 from registers"));
        foreach (var (nodes, forward, kernels) in _forwards)
        {
            var all = kernels.Sum(kernel => kernel.Seconds);
            Tables.Print(terminal, [$"kernel, {nodes} nodes", "launches", "µs each", "µs", "share", "GB/s of weights", "of copying"], 1, kernels.OrderByDescending(kernel => kernel.Seconds).Select(kernel => new[]
            {
                kernel.Name, kernel.Launches.ToString(CultureInfo.InvariantCulture), Number(kernel.Seconds * 1e6 / kernel.Launches), Number(kernel.Seconds * 1e6), Number(kernel.Seconds / all, "0.00"),
                kernel.WeightBytes == 0 ? "" : Number(kernel.WeightBytes / kernel.Seconds / 1e9), kernel.WeightBytes == 0 ? "" : Number(kernel.WeightBytes / kernel.Seconds / 1e9 / CopiedGBPerSecond, "0.00"),
            }));
            terminal.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{nodes} nodes: kernels one by one {all * 1e6:0} µs; a forward as a graph, with upload, download and wait {forward.Median * 1e6:0} µs ({forward.Min * 1e6:0} to {forward.Max * 1e6:0})"));
        }

        static string Number(double value, string format = "0.0") => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
