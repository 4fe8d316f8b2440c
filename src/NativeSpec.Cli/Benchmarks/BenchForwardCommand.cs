using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Benchmarks;

/// <summary><c>nativespec bench forward</c>: what verifying n nodes costs, against one and against how fast memory is read.</summary>
internal sealed class BenchForwardCommand : Command, IHasExamples
{
    private const int MostNodes = 1024;

    private readonly Terminal _terminal;
    private readonly ComputeFlags _compute;
    private readonly Option<string> _shape = new("--shape") { Description = "The model's shape, or a config.json (default 110m)", HelpName = $"{string.Join('|', BenchShapes.All.Keys)}|FILE", DefaultValueFactory = _ => "110m" };
    private readonly Option<string> _nodes = new("--nodes") { Description = "Numbers of nodes (default 1,2,4,8,16,32,64)", HelpName = "LIST", DefaultValueFactory = _ => "1,2,4,8,16,32,64" };
    private readonly Option<int> _context = new("--context") { Description = "Tokens before the nodes (default 128)", HelpName = "N", DefaultValueFactory = _ => 128 };
    private readonly Option<int> _prefill = new("--prefill") { Description = "Measure a prompt of so many tokens too", HelpName = "N" };
    private readonly Option<int?> _chunk = new("--chunk") { Description = "Prompt tokens in one forward (default as in an engine)", HelpName = "N" };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Repeats of all measurements, of which the median counts (default 9)", HelpName = "N", DefaultValueFactory = _ => 9 };
    private readonly Option<bool> _json = CommonOptions.Json();

    public BenchForwardCommand(Terminal terminal)
        : base("forward", "Verify 1, 2, 4, … nodes in one forward with random weights: time, its growth, and the share of the memory's read bandwidth")
    {
        _terminal = terminal;
        _compute = ComputeFlags.ForRandomWeights(terminal);
        Option[] options = [_shape, _nodes, _context, _prefill, _chunk, _repeats, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec bench forward --shape tinyllama-1.1b --weights q8 --threads 2 --json",
        "nativespec bench forward --shape models/tinyllama/config.json --weights q4 --nodes 1,8,16 --prefill 512",
    ];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (shape, context, prefill, repeats) = (parsed.GetValue(_shape)!, parsed.GetValue(_context), parsed.GetValue(_prefill), parsed.GetValue(_repeats));
        var nodes = CommonOptions.ParseIds("--nodes", parsed.GetValue(_nodes)!).Append(1).Distinct().Order().ToArray();
        CommonOptions.RequireAtLeast("--nodes", nodes[0], 1);
        CommonOptions.RequireAtLeast("--context", context, 1);
        CommonOptions.RequireAtLeast("--prefill", prefill, 0);
        CommonOptions.RequireAtLeast("--chunk", parsed.GetValue(_chunk), 1);
        CommonOptions.RequireAtLeast("--repeats", repeats, 1);
        var config = BenchShapes.Find(shape);
        var tokens = Math.Max((long)context + nodes[^1], prefill);
        if (nodes[^1] > MostNodes || tokens > config.MaxPositionEmbeddings)
        {
            throw new UsageException($"--nodes goes to {nodes[^1]}, and {tokens} tokens are wanted in all; expected at most {MostNodes} and {config.MaxPositionEmbeddings}");
        }

        var options = _compute.Apply(parsed, new EngineOptions());
        using var benchmark = new ForwardBenchmark(config, options with { PrefillChunk = parsed.GetValue(_chunk) ?? options.PrefillChunk }, nodes, context, prefill);
        var result = benchmark.Run(repeats, cancellationToken);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("shape", shape);
                json.WriteNumber("parameters", config.ParameterCount);
                json.WriteString("weights", options.Weights == WeightFormat.AsStored ? "bf16" : options.Weights.ToString().ToLowerInvariant());
                json.WriteString("backend", benchmark.Backend);
                json.WriteNumber("context", context);
                json.WriteNumber("repeats", repeats);
                json.WriteNumber("bytes_per_token", benchmark.BytesPerToken);
                json.WriteMeasurement("read_gb_per_second", result.ReadGBPerSecond);
                WriteTimes(json, result);
                if (result.PrefillTokensPerSecond is { } speed)
                {
                    json.WriteNumber("prefill_tokens", prefill);
                    json.WriteMeasurement("prefill_tokens_per_second", speed);
                }
            });
            return CommandLine.Success;
        }

        Print(shape, config, benchmark, result, context, repeats);
        if (result.PrefillTokensPerSecond is { } prompt)
        {
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"prompt of {prefill} tokens: {prompt.Median:0.0} tokens/s ({prompt.Min:0.0} to {prompt.Max:0.0})"));
        }

        return CommandLine.Success;
    }

    private static void WriteTimes(Utf8JsonWriter json, ForwardResult result)
    {
        json.WriteStartArray("forwards");
        foreach (var time in result.Times)
        {
            json.WriteStartObject();
            json.WriteNumber("nodes", time.Nodes);
            json.WriteMeasurement("ms", new Measurement(time.Seconds.Median * 1e3, time.Seconds.Min * 1e3, time.Seconds.Max * 1e3));
            json.WriteMeasurement("growth", time.Growth);
            json.WriteMeasurement("tokens_per_second", time.TokensPerSecond);
            json.WriteMeasurement("gb_per_second", time.GBPerSecond);
            json.WriteMeasurement("fraction_of_read_bandwidth", time.Fraction);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void Print(string shape, LlamaConfig config, ForwardBenchmark benchmark, ForwardResult result, int context, int repeats)
    {
        _terminal.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{shape}: {Tables.Count(config.ParameterCount)} parameters, {Tables.Bytes(benchmark.BytesPerToken)} read per token after {context}; {benchmark.Backend}; reading {result.ReadGBPerSecond.Median:0.0} GB/s; medians of {repeats}"));
        Tables.Print(_terminal, ["nodes", "ms", "T(n)/T(1)", "tokens/s", "GB/s", "of read bandwidth"], 0, result.Times.Select(time => new[]
        {
            time.Nodes.ToString(CultureInfo.InvariantCulture), Number(time.Seconds.Median * 1e3), Number(time.Growth.Median), Number(time.TokensPerSecond.Median, "0.0"),
            Number(time.GBPerSecond.Median), Number(time.Fraction.Median),
        }));

        static string Number(double value, string format = "0.00") => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
