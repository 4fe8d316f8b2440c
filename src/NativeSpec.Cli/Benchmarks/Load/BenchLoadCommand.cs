using System.CommandLine;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary><c>nativespec bench load</c>: many callers at once, as a service has them.</summary>
internal sealed class BenchLoadCommand : Command, IHasExamples
{
    private const int ShapeContext = 4096;

    private readonly Terminal _terminal;
    private readonly SpeculationFlags _drafters = new();
    private readonly Option<string?> _model = new("--model") { Description = "Folder of the checkpoint", HelpName = "DIR" };
    private readonly Option<string?> _shape = new("--shape") { Description = "Instead of a checkpoint, random BF16 weights of a known shape with a context of 4096", HelpName = string.Join('|', BenchShapes.All.Keys) };
    private readonly Option<string> _scenario = new("--scenario")
    {
        Description = "mix (default): the callers of --callers; long-prompt: one ahead of short prompts and a running text; second-turn: a conversation that goes on; exhausted: long requests and too small a cache; flood: four times what is taken",
        HelpName = "mix|long-prompt|second-turn|exhausted|flood",
        DefaultValueFactory = _ => "mix",
    };

    private readonly Option<string> _callers = new("--callers") { Description = "Callers at once, of a mix (default 1,4,16,64)", HelpName = "N,N,…", DefaultValueFactory = _ => "1,4,16,64" };
    private readonly Option<int?> _requests = new("--requests") { Description = "Requests of all callers together, for each number of callers of a mix (default 200), or of exhausted (default 64)", HelpName = "N" };
    private readonly Option<string> _mix = new("--mix") { Description = "How many requests are of which kind: short and long prompts, callers that go away, callers that read slowly (default short:16,long:2,cancel:1,slow:1)", HelpName = "KIND:N,…", DefaultValueFactory = _ => "short:16,long:2,cancel:1,slow:1" };
    private readonly Option<string?> _prompts = new("--prompts") { Description = "Texts that prompts are made of; by default the model's prompts.jsonl where there is one, otherwise random tokens", HelpName = "FILE" };
    private readonly Option<int> _maxTokens = new("--max-tokens") { Description = "Tokens to write for each request (default 32)", HelpName = "N", DefaultValueFactory = _ => 32 };
    private readonly Option<int> _shortTokens = new("--short-tokens") { Description = "Tokens of a short prompt at most (default 40)", HelpName = "N", DefaultValueFactory = _ => 40 };
    private readonly Option<int?> _longTokens = new("--long-tokens") { Description = "Tokens of a long prompt (default 512 of a mix, 3000 of long-prompt, 2000 of second-turn, 256 of exhausted, whose texts are four times --max-tokens long, or what the context has room for)", HelpName = "N" };
    private readonly Option<double> _pause = new("--pause") { Description = "Mean of the milliseconds that a caller waits before its next request (default 5)", HelpName = "MS", DefaultValueFactory = _ => 5 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Measurements of a scenario other than mix, of which medians count (default 3)", HelpName = "N", DefaultValueFactory = _ => 3 };
    private readonly Option<int> _seed = new("--seed") { Description = "Of arrivals, prompts and sampling (default 1)", HelpName = "N", DefaultValueFactory = _ => 1 };
    private readonly Option<float?> _temperature = new("--temperature") { Description = "Of all requests; by default 0 and 0.8 in turns", HelpName = "T" };
    private readonly Option<int> _maxSequences = new("--max-sequences") { Description = "Requests that the engine serves at once, of a mix (default 16)", HelpName = "N", DefaultValueFactory = _ => 16 };
    private readonly Option<long?> _kvTokens = new("--kv-tokens") { Description = "Tokens whose keys and values the engine keeps, of a mix", HelpName = "N" };
    private readonly Option<string?> _svg = new("--svg") { Description = "Draw the result to a file", HelpName = "FILE" };
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public BenchLoadCommand(Terminal terminal)
        : base("load", "Many callers at once: tokens per second, times to the first token and between tokens, errors, memory, and whether the texts are those written alone")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        _shape.AcceptOnlyFromAmong([.. BenchShapes.All.Keys]);
        _scenario.AcceptOnlyFromAmong("mix", "long-prompt", "second-turn", "exhausted", "flood");
        Option[] options =
        [
            _model, _shape, _scenario, _callers, _requests, _mix, _prompts, _maxTokens, _shortTokens, _longTokens, _pause, _repeats, _seed, _temperature, _maxSequences, _kvTokens,
            _drafters.Method, .. _drafters.DrafterOptions, .. _compute.All, _json, _svg,
        ];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec bench load --model models/doc-comments --callers 1,4,16,64 --svg load.svg",
        "nativespec bench load --shape 110m --scenario long-prompt --threads 2 --json",
        "nativespec bench load --model models/doc-comments --callers 16 --requests 10000 --mix short:8,cancel:1,slow:1 --speculate off",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (model, shape) = (parsed.GetValue(_model), parsed.GetValue(_shape));
        if (model is null == shape is null)
        {
            throw new UsageException("give either --model DIR or --shape NAME");
        }

        foreach (var option in new[] { _maxTokens, _shortTokens, _repeats, _maxSequences })
        {
            CommonOptions.RequireAtLeast(option.Name, parsed.GetValue(option), 1);
        }

        CommonOptions.RequireAtLeast("--requests", parsed.GetValue(_requests), 1);
        CommonOptions.RequireAtLeast("--long-tokens", parsed.GetValue(_longTokens), 1);
        if (parsed.GetValue(_pause) is not (>= 0 and <= 60_000))
        {
            throw new UsageException($"--pause is {parsed.GetValue(_pause)}; expected 0 to 60000 milliseconds");
        }

        var callers = CallersBenchmark.Parse(parsed.GetValue(_callers)!, most: 4096);
        var mix = LoadMix.Parse(parsed.GetValue(_mix)!);
        using var synthetic = shape is null ? null : new SyntheticCheckpoint(shape, ShapeContext);
        var path = model ?? synthetic!.Path;
        var report = new LoadReport(_terminal, shape ?? CommonOptions.ModelName(path), parsed.GetValue(_scenario)!, parsed.GetValue(_json), parsed.GetValue(_svg));
        var setup = Setup(parsed, path, report);
        if (report.Scenario == "mix")
        {
            var results = await RunMixAsync(parsed, setup, mix, callers, cancellationToken).ConfigureAwait(false);
            return report.Finish(results);
        }

        var result = await RunScenarioAsync(setup, report.Scenario, parsed.GetValue(_requests) ?? 64, cancellationToken).ConfigureAwait(false);
        return report.Finish(result);
    }

    private LoadSetup Setup(ParseResult parsed, string path, LoadReport report)
    {
        var engineOptions = _drafters.Apply(parsed, _compute.Apply(parsed, new EngineOptions()));
        var file = parsed.GetValue(_prompts) ?? (File.Exists(Path.Combine(path, "prompts.jsonl")) ? Path.Combine(path, "prompts.jsonl") : null);
        var texts = file is null ? [] : PromptFile.Read(file, limit: null);
        var options = new GenerationOptions
        {
            MaxTokens = parsed.GetValue(_maxTokens),
            Temperature = parsed.GetValue(_temperature),
            IgnoreEndOfText = true, // so that every text has its length
            Speculation = _drafters.Request(parsed),
        };
        return new LoadSetup(
            (sequences, kvTokens, maxWaiting) =>
            {
                var engine = InferenceEngine.Load(path, engineOptions with { MaxSequences = sequences, KvTokens = kvTokens, MaxWaiting = maxWaiting });
                report.Backend = engine.Backend;
                return engine;
            },
            engine => new LoadPrompts([.. texts.Select(text => engine.Tokenizer.Encode(text).ToArray()).Where(ids => ids.Length > 0)], engine.Config.VocabSize),
            parsed.GetValue(_longTokens),
            options,
            parsed.GetValue(_repeats),
            parsed.GetValue(_seed));
    }

    private async Task<List<LoadResult>> RunMixAsync(
        ParseResult parsed, LoadSetup setup, LoadMix mix, int[] callers, CancellationToken cancellationToken)
    {
        using var engine = setup.Load(parsed.GetValue(_maxSequences), parsed.GetValue(_kvTokens), Math.Max(callers.Max(), 1024));
        var (requests, maxTokens) = (parsed.GetValue(_requests) ?? 200, parsed.GetValue(_maxTokens));
        var lengths = (Short: parsed.GetValue(_shortTokens), Long: setup.LongTokensOf(engine, 512, after: maxTokens));
        if (lengths.Short > engine.MaxContext - maxTokens)
        {
            throw new UsageException($"--short-tokens is {lengths.Short}; the context of {engine.MaxContext} has no room for them and {maxTokens} more");
        }

        var asked = mix.Make(Math.Min(requests, 60), setup.PromptsFor(engine), setup.Options, lengths, setup.Seed);
        var alone = await setup.WriteAloneAsync(asked, cancellationToken).ConfigureAwait(false);
        var run = new LoadRun(engine, asked, alone, parsed.GetValue(_pause), setup.Seed);
        await run.RunAsync(callers[0], Math.Min(requests, 32), cancellationToken).ConfigureAwait(false); // warms up
        List<LoadResult> results = [];
        foreach (var count in callers)
        {
            results.Add(await run.RunAsync(count, requests, cancellationToken).ConfigureAwait(false));
            MeasureOptions.Progress(_terminal, $"{count} callers");
        }

        return results;
    }

    private static async Task<ScenarioResult> RunScenarioAsync(LoadSetup setup, string scenario, int requests, CancellationToken cancellationToken)
    {
        switch (scenario)
        {
            case "long-prompt":
                using (var longPrompt = new LongPromptScenario(setup))
                {
                    return await longPrompt.RunAsync(cancellationToken).ConfigureAwait(false);
                }

            case "second-turn":
                return await LoadScenarios.SecondTurnAsync(setup, cancellationToken).ConfigureAwait(false);
            case "exhausted":
                return await LoadScenarios.ExhaustedAsync(setup, requests, cancellationToken).ConfigureAwait(false);
            default:
                return await LoadScenarios.FloodAsync(setup, cancellationToken).ConfigureAwait(false);
        }
    }
}
