using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Benchmarks;

/// <summary><c>nativespec bench speculation</c>: how much faster each drafter and all together write the same text.</summary>
internal sealed class BenchSpeculationCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly SpeculationFlags _drafters = new();
    private readonly Option<string?> _model = new("--model") { Description = "Folder of the checkpoint", HelpName = "DIR" };
    private readonly Option<string?> _shape = new("--shape") { Description = "Instead of a checkpoint, random BF16 weights of a known shape: what drafters cost where a forward is bound by memory", HelpName = string.Join('|', BenchShapes.All.Keys) };
    private readonly Option<string> _prompts = MeasureOptions.Prompts();
    private readonly Option<int?> _limit = MeasureOptions.Limit();
    private readonly Option<int> _maxTokens = MeasureOptions.MaxTokens();
    private readonly Option<float?> _temperature = MeasureOptions.Temperature();
    private readonly Option<float?> _topP = new("--top-p") { Description = "Keep the likeliest tokens up to this probability; by default what the checkpoint recommends", HelpName = "P" };
    private readonly Option<string?> _methods = new("--methods") { Description = "A list of: auto (what pays), unplanned (all drafters, every candidate), a drafter, DRAFTER:unplanned, never and returns (a drafter that is always wrong, or wrong until the middle of the output); by default each drafter, auto and unplanned", HelpName = "LIST" };
    private readonly Option<string?> _callers = new("--callers") { Description = "Instead of one request at a time, so many at once, with an engine of its own for each method: tokens per second against plain decoding (methods: auto unless --methods; temperatures: 0 and 0.8 unless --temperature)", HelpName = "N,N,…" };
    private readonly Option<int> _maxNodes = new("--max-nodes") { Description = "Most candidates computed in a round (default 64)", HelpName = "N", DefaultValueFactory = _ => 64 };
    private readonly Option<int?> _context = CommonOptions.Context("Most tokens of prompt and output together; by default the model's limit");
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public BenchSpeculationCommand(Terminal terminal)
        : base("speculation", "Plain decoding against every drafter alone and all together, on the same prompts, and whether the texts are the same")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        _shape.AcceptOnlyFromAmong([.. BenchShapes.All.Keys]);
        Option[] options = [_model, _shape, .. _drafters.DrafterOptions, _prompts, _limit, _maxTokens, _temperature, _topP, _methods, _callers, _maxNodes, _context, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec bench speculation --model models/tinyllama --draft-model models/tiny --prompts spec-bench.jsonl --limit 20",
        "nativespec bench speculation --shape 110m --prompts prompts.txt --temperature 1 --methods auto,never,returns",
        "nativespec bench speculation --model models/tinyllama --draft-model models/tiny --prompts prompts.txt --callers 1,4,16",
        "nativespec bench speculation --model models/tinyllama --prompts HumanEval.jsonl.gz --methods lookup,lookup:unplanned,auto --temperature 0 --json",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var maxNodes = parsed.GetValue(_maxNodes);
        CommonOptions.RequireAtLeast("--max-tokens", parsed.GetValue(_maxTokens), 2);
        CommonOptions.RequireAtLeast("--limit", parsed.GetValue(_limit), 1);
        if (maxNodes is < 1 or > 256)
        {
            throw new UsageException($"--max-nodes is {maxNodes}; expected 1 to 256");
        }

        var texts = PromptFile.Read(parsed.GetValue(_prompts)!, parsed.GetValue(_limit));
        var (model, shape) = (parsed.GetValue(_model), parsed.GetValue(_shape));
        if (model is null == shape is null)
        {
            throw new UsageException("give either --model DIR or --shape NAME");
        }

        using var synthetic = shape is null ? null : new SyntheticCheckpoint(shape);
        var path = model ?? synthetic!.Path;
        var engineOptions = _compute.Apply(parsed, new EngineOptions { MaxSequences = 1, MaxContext = parsed.GetValue(_context), MaxTreeNodes = Math.Max(64, maxNodes + 1) });
        if (parsed.GetValue(_callers) is { } callers)
        {
            return await RunCallersAsync(parsed, CallersBenchmark.Parse(callers), path, _drafters.Apply(parsed, engineOptions), texts, cancellationToken).ConfigureAwait(false);
        }

        engineOptions = _drafters.Apply(parsed, engineOptions);
        using var engine = InferenceEngine.Load(path, engineOptions);
        string[] methods = parsed.GetValue(_methods)?.Split(',') ?? [.. engine.Drafters, "auto", "unplanned"];
        Array.ForEach(methods, method => SpeculationBenchmark.OptionsOf(method, engine.Drafters, maxNodes));

        var prompts = MeasureOptions.Fitting(engine, texts, parsed.GetValue(_maxTokens), _terminal);
        var options = new GenerationOptions { MaxTokens = parsed.GetValue(_maxTokens), Temperature = parsed.GetValue(_temperature), TopP = parsed.GetValue(_topP) };
        using var benchmark = new SpeculationBenchmark(engine, () => InferenceEngine.Load(path, engineOptions), options, methods);
        await benchmark.WarmUpAsync(prompts[0], maxNodes, cancellationToken).ConfigureAwait(false);
        for (var i = 0; i < prompts.Count; i++)
        {
            await benchmark.RunAsync(i, prompts[i], maxNodes, cancellationToken).ConfigureAwait(false);
            MeasureOptions.Progress(_terminal, $"{i + 1} of {prompts.Count} prompts");
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => Write(json, shape ?? CommonOptions.ModelName(path), engine, benchmark));
        }
        else
        {
            Print(engine, benchmark);
        }

        return Verdict(benchmark);
    }

    private async Task<int> RunCallersAsync(
        ParseResult parsed, int[] callers, string path, EngineOptions engineOptions, IReadOnlyList<string> texts, CancellationToken cancellationToken)
    {
        var (maxTokens, maxNodes) = (parsed.GetValue(_maxTokens), parsed.GetValue(_maxNodes));
        List<int[]> prompts;
        (string Name, SpeculationOptions Options)[] methods;
        using (var engine = Load(1)) // the profile is measured now, if it is not known
        {
            prompts = MeasureOptions.Fitting(engine, texts, maxTokens, _terminal);
            methods = [.. (parsed.GetValue(_methods) ?? "auto").Split(',').Select(name => (name, SpeculationBenchmark.OptionsOf(name, engine.Drafters, maxNodes)))];
        }

        if (methods.FirstOrDefault(method => SpeculationBenchmark.IsReplay(method.Name)).Name is { } replay)
        {
            throw new UsageException($"--methods: {replay} knows the text that one caller's plain decoding wrote, and does not go with --callers");
        }

        var request = new GenerationOptions { MaxTokens = maxTokens, TopP = parsed.GetValue(_topP) };
        List<CallersResult> results = [];
        foreach (var temperature in parsed.GetValue(_temperature) is { } one ? [one] : new[] { 0, 0.8f })
        {
            foreach (var (name, speculation) in methods)
            {
                foreach (var count in callers)
                {
                    var result = new CallersResult(name, count, temperature);
                    await CallersBenchmark.RunAsync(Load, prompts, request, result, speculation, cancellationToken).ConfigureAwait(false);
                    results.Add(result);
                    MeasureOptions.Progress(_terminal, $"{name}, {count} callers, temperature {temperature.ToString(CultureInfo.InvariantCulture)}");
                }
            }
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => CallersBenchmark.Write(json, results));
        }
        else
        {
            CallersBenchmark.Print(_terminal, results);
        }

        if (results.Sum(result => result.Texts.Different) is > 0 and var different)
        {
            _terminal.Error.WriteLine($"nativespec: {different} texts are others than plain decoding wrote");
            return CommandLine.Failure;
        }

        return CommandLine.Success;

        InferenceEngine Load(int sequences) => InferenceEngine.Load(path, engineOptions with { MaxSequences = sequences });
    }

    private int Verdict(SpeculationBenchmark benchmark)
    {
        var wrong = benchmark.Results.Where(result => result.Different.Count > 0).ToArray();
        foreach (var result in wrong)
        {
            _terminal.Error.WriteLine($"nativespec: {result.Name} wrote another text than plain decoding for the prompts {string.Join(", ", result.Different)} (counted from 0)");
        }

        return wrong.Length == 0 ? CommandLine.Success : CommandLine.Failure;
    }

    private void Print(InferenceEngine engine, SpeculationBenchmark benchmark)
    {
        var plain = Quartiles.Of(benchmark.PlainSpeeds);
        _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{engine.Backend}; {benchmark.Compared} prompts; plain decoding {plain.Median:0.0} tokens/s, {Quartiles.Of(benchmark.PlainOutsideForwards).Median:0.0 %} of the time outside forwards"));
        Tables.Print(_terminal, ["method", "× plain", "middle half", "tokens/s", "tokens/round", "accepted", "draft ms", "verify ms", "plan ms", "outside forwards", "same text"], 1, benchmark.Results.Select(result =>
        {
            var ratio = Quartiles.Of(result.Ratios);
            return new[]
            {
                result.Name, Number(ratio.Median, "0.00"), $"{Number(ratio.Lower, "0.00")}–{Number(ratio.Upper, "0.00")}", Number(Quartiles.Of(result.Speeds).Median, "0.0"),
                Number(result.TokensPerRound, "0.00"), Number(result.AcceptanceRate, "0.00"),
                Number(result.Stats.Sum(s => s.DraftTime.TotalMilliseconds), "0"), Number(result.Stats.Sum(s => s.VerifyTime.TotalMilliseconds), "0"),
                Number(result.Stats.Sum(s => s.PlanTime.TotalMilliseconds), "0"), Number(Quartiles.Of(result.OutsideForwards).Median, "0.0 %"), $"{result.Ratios.Count - result.Different.Count} of {result.Ratios.Count}",
            };
        }));

        static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }

    private static void Write(Utf8JsonWriter json, string model, InferenceEngine engine, SpeculationBenchmark benchmark)
    {
        json.WriteString("model", model);
        json.WriteString("backend", engine.Backend);
        json.WriteNumber("prompts", benchmark.Compared);
        WriteQuartiles(json, "plain_tokens_per_second", benchmark.PlainSpeeds);
        WriteQuartiles(json, "plain_outside_forwards", benchmark.PlainOutsideForwards);
        json.WriteStartArray("methods");
        foreach (var result in benchmark.Results)
        {
            json.WriteStartObject();
            json.WriteString("method", result.Name);
            WriteQuartiles(json, "ratio", result.Ratios);
            WriteQuartiles(json, "tokens_per_second", result.Speeds);
            WriteQuartiles(json, "outside_forwards", result.OutsideForwards);
            json.WriteMeasured("tokens_per_round", result.TokensPerRound);
            json.WriteMeasured("acceptance_rate", result.AcceptanceRate);
            json.WriteNumber("drafted", result.Stats.Sum(s => s.Drafted));
            json.WriteNumber("accepted", result.Stats.Sum(s => s.Accepted));
            json.WriteMeasured("draft_ms", result.Stats.Sum(s => s.DraftTime.TotalMilliseconds));
            json.WriteMeasured("verify_ms", result.Stats.Sum(s => s.VerifyTime.TotalMilliseconds));
            json.WriteMeasured("plan_ms", result.Stats.Sum(s => s.PlanTime.TotalMilliseconds));
            json.WriteNumber("texts_equal", result.Ratios.Count - result.Different.Count);
            json.WriteIds("texts_different", result.Different);
            json.WriteStartArray("ratios");
            result.Ratios.ForEach(ratio => json.WriteNumberValue(Math.Round(ratio, 4)));
            json.WriteEndArray();
            json.WriteStartArray("drafters");
            foreach (var drafter in result.Drafters)
            {
                SpeculationReport.Write(json, drafter);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteQuartiles(Utf8JsonWriter json, string name, IEnumerable<double> values)
    {
        var quartiles = Quartiles.Of(values);
        json.WriteStartObject(name);
        json.WriteMeasured("median", quartiles.Median);
        json.WriteMeasured("lower_quartile", quartiles.Lower);
        json.WriteMeasured("upper_quartile", quartiles.Upper);
        json.WriteEndObject();
    }
}
