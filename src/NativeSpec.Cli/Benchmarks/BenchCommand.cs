using System.CommandLine;
using System.Globalization;
using NativeSpec.Cli.Benchmarks.Kernels;
using NativeSpec.Cli.Benchmarks.Load;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks;

/// <summary><c>nativespec bench</c>: measurements of this machine and of models on it.</summary>
internal sealed class BenchCommand : Command
{
    public BenchCommand(Terminal terminal)
        : base("bench", "Measure this machine, or a model on it")
    {
        Add(new BenchDecodeCommand(terminal));
        Add(new BenchForwardCommand(terminal));
        Add(new BenchKernelsCommand(terminal));
        Add(new BenchLoadCommand(terminal));
        Add(new BenchSpeculationCommand(terminal));
    }
}

/// <summary><c>nativespec bench decode</c>: tokens per second of one sequence, against how fast this machine reads memory.</summary>
internal sealed class BenchDecodeCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _shape = new("--shape") { Description = "The model's shape, or a config.json (default 110m)", HelpName = $"{string.Join('|', BenchShapes.All.Keys)}|FILE", DefaultValueFactory = _ => "110m" };
    private readonly Option<int> _tokens = new("--tokens") { Description = "Tokens to decode in each repeat (default 64)", HelpName = "N", DefaultValueFactory = _ => 64 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Measurements of each kind, of which the median counts (default 9)", HelpName = "N", DefaultValueFactory = _ => 9 };
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public BenchDecodeCommand(Terminal terminal)
        : base("decode", "Decode with random weights: tokens/s, and the share of the memory's read bandwidth that this is")
    {
        _terminal = terminal;
        _compute = ComputeFlags.ForRandomWeights(terminal);
        Option[] options = [_shape, _tokens, _repeats, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples => ["nativespec bench decode", "nativespec bench decode --shape tinyllama-1.1b --tokens 16 --threads 1 --json"];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (shape, tokens, repeats) = (parsed.GetValue(_shape)!, parsed.GetValue(_tokens), parsed.GetValue(_repeats));
        CommonOptions.RequireAtLeast("--tokens", tokens, 1);
        CommonOptions.RequireAtLeast("--repeats", repeats, 1);
        var config = BenchShapes.Find(shape);
        if (tokens > config.MaxPositionEmbeddings - DecodeBenchmark.PromptTokens)
        {
            throw new UsageException($"--tokens is {tokens}; expected at most {config.MaxPositionEmbeddings - DecodeBenchmark.PromptTokens}");
        }

        using var benchmark = new DecodeBenchmark(config, tokens, _compute.Apply(parsed, new EngineOptions()));
        var result = benchmark.Run(repeats, cancellationToken);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("shape", shape);
                json.WriteNumber("parameters", config.ParameterCount);
                json.WriteString("backend", benchmark.Backend);
                json.WriteNumber("tokens", tokens);
                json.WriteNumber("repeats", repeats);
                json.WriteNumber("bytes_per_token", benchmark.BytesPerToken);
                json.WriteMeasurement("tokens_per_second", result.TokensPerSecond);
                json.WriteMeasurement("decode_gb_per_second", result.DecodeGBPerSecond);
                json.WriteMeasurement("read_gb_per_second", result.ReadGBPerSecond);
                json.WriteMeasurement("fraction_of_read_bandwidth", result.Fraction);
            });
            return CommandLine.Success;
        }

        _terminal.Out.WriteLine($"{shape}: {Tables.Count(config.ParameterCount)} parameters, {Tables.Bytes(benchmark.BytesPerToken)} read per token; {benchmark.Backend}");
        Tables.Print(_terminal, [$"{repeats} × {tokens} tokens", "median", "min", "max"], 1,
        [
            Row("decode, tokens/s", "0.0", result.TokensPerSecond),
            Row("decode, GB/s", "0.00", result.DecodeGBPerSecond),
            Row("reading memory, GB/s", "0.00", result.ReadGBPerSecond),
            Row("fraction of read bandwidth", "0.00", result.Fraction),
        ]);
        return CommandLine.Success;
    }

    private static string[] Row(string name, string format, Measurement measured) =>
        [name, .. new[] { measured.Median, measured.Min, measured.Max }.Select(value => value.ToString(format, CultureInfo.InvariantCulture))];
}
