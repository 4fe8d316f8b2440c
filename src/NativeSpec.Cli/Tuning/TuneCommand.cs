using System.CommandLine;
using System.Text.Json;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Engine;
using NativeSpec.Speculation.DraftModels;

namespace NativeSpec.Cli.Tuning;

/// <summary><c>nativespec tune</c>: measures which drafters pay for a model on this machine, and notes it for <c>--speculate auto</c>.</summary>
internal sealed class TuneCommand : Command, IHasExamples
{
    private static readonly int[] ShownContexts = [32, 512, 2048];

    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string[]> _draftModels = new("--draft-model") { Description = "A smaller checkpoint to try; may be given several times", HelpName = "DIR" };
    private readonly Option<string?> _medusa = new("--medusa") { Description = "Medusa heads to try: a folder or file", HelpName = "DIR" };
    private readonly Option<string> _prompts = MeasureOptions.Prompts();
    private readonly Option<int?> _limit = MeasureOptions.Limit();
    private readonly Option<int> _maxTokens = MeasureOptions.MaxTokens();
    private readonly Option<float?> _temperature = MeasureOptions.Temperature();
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public TuneCommand(Terminal terminal)
        : base("tune", "Measure which drafters pay for a model on this machine; auto follows it from then on")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options = [_model, _draftModels, _medusa, _prompts, _limit, _maxTokens, _temperature, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples => ["nativespec tune --model models/tinyllama --draft-model models/tiny --draft-model models/mini --prompts spec-bench.jsonl --limit 20"];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        CommonOptions.RequireAtLeast("--max-tokens", parsed.GetValue(_maxTokens), 2);
        CommonOptions.RequireAtLeast("--limit", parsed.GetValue(_limit), 1);
        var (path, draftModels) = (parsed.GetValue(_model)!, parsed.GetValue(_draftModels) ?? []);
        var texts = PromptFile.Read(parsed.GetValue(_prompts)!, parsed.GetValue(_limit));
        var engineOptions = _compute.Apply(parsed, new EngineOptions { MaxSequences = 1, DraftModels = draftModels, Medusa = parsed.GetValue(_medusa), MeasureAnew = true });
        if (engineOptions.ProfileDirectory is null)
        {
            throw new UsageException("NATIVESPEC_PROFILE_DIR is empty, so there is nowhere to note what is found; name a folder in it, or unset it");
        }

        var tuner = new DrafterTuner(new GenerationOptions { MaxTokens = parsed.GetValue(_maxTokens), Temperature = parsed.GetValue(_temperature) }, draftModels);
        List<TunedDrafter> found = [];
        foreach (var width in draftModels.Length == 0 ? [] : DrafterTuner.Widths)
        {
            var how = new DraftModelOptions { Depth = DrafterTuner.MeasuredDepth, Width = width, StopBelow = 0 };
            using var wide = InferenceEngine.Load(path, engineOptions with { DraftOptions = how, ProfileDirectory = null });
            await wide.WarmUpAsync(cancellationToken).ConfigureAwait(false);
            var fitting = MeasureOptions.Fitting(wide, texts, parsed.GetValue(_maxTokens), _terminal);
            for (var number = 0; number < draftModels.Length; number++)
            {
                MeasureOptions.Progress(_terminal, $"{draftModels[number]} with {width} a level");
                found.Add(await tuner.DraftModelAsync(wide, number, width, fitting, cancellationToken).ConfigureAwait(false));
            }
        }

        found = [.. found.GroupBy(drafter => drafter.Name).Select(widths => widths.MaxBy(drafter => drafter.SpeedUp)!)];
        using var engine = InferenceEngine.Load(path, engineOptions);
        await engine.WarmUpAsync(cancellationToken).ConfigureAwait(false);
        var prompts = MeasureOptions.Fitting(engine, texts, parsed.GetValue(_maxTokens), _terminal);
        foreach (var name in engine.Drafters.Where(name => found.All(drafter => drafter.Name != name)))
        {
            MeasureOptions.Progress(_terminal, name);
            found.Add(await tuner.OtherAsync(engine, name, prompts, cancellationToken).ConfigureAwait(false));
        }

        var decided = DrafterTuner.Decide(found, DateTimeOffset.UtcNow);
        var file = engine.SaveTuning([.. decided.Select(drafter => drafter.Tuning)]);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => Write(json, CommonOptions.ModelName(path), engine, decided, file));
            return CommandLine.Success;
        }

        foreach (var (drafter, tuning) in decided)
        {
            _terminal.Out.WriteLine($"{drafter.Name}{(drafter.Path is null ? "" : $" {drafter.Path}")}: {drafter.Explain(tuning.Pays)}");
        }

        _terminal.Out.WriteLine($"noted in {file}");
        return CommandLine.Success;
    }

    private static void Write(
        Utf8JsonWriter json, string model, InferenceEngine engine, IReadOnlyList<(TunedDrafter Drafter, DrafterTuning Tuning)> decided, string file)
    {
        json.WriteString("model", model);
        json.WriteString("backend", engine.Backend);
        json.WriteString("profile", file);
        json.WriteStartArray("forward_ms");
        foreach (var context in ShownContexts.Where(context => context <= engine.MaxContext))
        {
            for (var nodes = 1; nodes <= 64; nodes *= 2)
            {
                json.WriteStartObject();
                json.WriteNumber("context", context);
                json.WriteNumber("nodes", nodes);
                json.WriteMeasured("ms", engine.ForwardTime(nodes, context).TotalMilliseconds);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
        json.WriteStartArray("drafters");
        foreach (var (drafter, tuning) in decided)
        {
            json.WriteStartObject();
            json.WriteString("name", drafter.Name);
            if (drafter.Path is { } path)
            {
                json.WriteString("path", path);
                json.WriteNumber("depth", drafter.Depth!.Value);
                json.WriteNumber("width", drafter.Width!.Value);
            }

            json.WriteMeasured("tokens_per_round", drafter.TokensPerRound);
            json.WriteMeasured("cost_ratio", drafter.CostRatio);
            json.WriteStartArray("accepted_per_round");
            Array.ForEach(drafter.AcceptedPerRound, accepted => json.WriteNumberValue(Math.Round(accepted, 4)));
            json.WriteEndArray();
            json.WriteMeasured("expected_speed_up", drafter.SpeedUp);
            json.WriteMeasured("least", drafter.Agreement.Least);
            json.WriteMeasured("most", drafter.Agreement.Most);
            json.WriteNumber("rounds", drafter.Rounds);
            json.WriteBoolean("pays", tuning.Pays);
            json.WriteString("why", drafter.Explain(tuning.Pays));
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
