using System.CommandLine;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Trees;

/// <summary><c>nativespec tree optimize</c>: the best layout for a number of nodes, from acceptance that was measured before or is now.</summary>
internal sealed class TreeOptimizeCommand : Command, IHasExamples
{
    private const int MeasuredNodes = 64, MeasuredDepth = 8, MeasuredWidth = 4;
    private static readonly string[] UsuallyMeasured = ["medusa", "draft"];

    private readonly Terminal _terminal;
    private readonly Option<string?> _acceptance = new("--acceptance") { Description = "What was measured: the JSON of bench speculation or generate, a trace, or a table [[rank 1, rank 2, …], …] by depth", HelpName = "FILE" };
    private readonly Option<string?> _drafter = new("--drafter") { Description = "Whose acceptance, where there are several; by default the heads' or the draft model's when measuring", HelpName = "NAME" };
    private readonly Option<int> _nodes = new("--nodes") { Description = "Most nodes, the root included", HelpName = "N", Required = true };
    private readonly Option<int?> _maxDepth = new("--max-depth") { Description = "Deepest node: the number of heads; by default as deep as was measured", HelpName = "N" };
    private readonly Option<string> _method = new("--method") { Description = "dp, dynamic programming (default), or greedy, as Medusa does it", HelpName = "greedy|dp", DefaultValueFactory = _ => "dp" };
    private readonly Option<string?> _model = new("--model") { Description = "Measure now: the model's folder, with --prompts and the drafter", HelpName = "DIR" };
    private readonly Option<string?> _prompts = new("--prompts") { Description = "Prompts to measure on: lines of a text file, or a .jsonl file's prompt, question or turns; .gz too", HelpName = "FILE" };
    private readonly Option<int?> _limit = MeasureOptions.Limit();
    private readonly Option<int> _maxTokens = MeasureOptions.MaxTokens();
    private readonly Option<float?> _temperature = MeasureOptions.Temperature();
    private readonly SpeculationFlags _drafters = new();
    private readonly ComputeFlags _compute;
    private readonly TreeOutput _output = new();

    public TreeOptimizeCommand(Terminal terminal)
        : base("optimize", "Find the tree that yields the most tokens per round")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        _method.AcceptOnlyFromAmong("greedy", "dp");
        Option[] options = [_acceptance, _model, _prompts, .. _drafters.DrafterOptions, _drafter, _nodes, _maxDepth, _method, _limit, _maxTokens, _temperature, .. _compute.All];
        Array.ForEach(options, Add);
        _output.AddTo(this);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec tree optimize --model models/vicuna --medusa models/vicuna-heads --prompts spec-bench.jsonl --limit 20 --nodes 32 --format json --out tree.json",
        "nativespec tree optimize --acceptance bench.json --drafter medusa --nodes 32 --format svg --out tree.svg",
        "nativespec tree optimize --acceptance rounds.jsonl --nodes 16 --max-depth 4 --method greedy",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (nodes, depth) = (parsed.GetValue(_nodes), parsed.GetValue(_maxDepth) ?? TreeLayout.MaxDepth);
        if (nodes is < 2 or > TreeLayout.MaxNodes || depth is < 1 or > TreeLayout.MaxDepth)
        {
            throw new UsageException($"--nodes is {nodes} and --max-depth is {depth}; expected 2 to {TreeLayout.MaxNodes} and 1 to {TreeLayout.MaxDepth}");
        }

        var (file, model) = (parsed.GetValue(_acceptance), parsed.GetValue(_model));
        var acceptance = (file, model) switch
        {
            ({ } known, null) => AcceptanceFile.Read(known, parsed.GetValue(_drafter)),
            (null, { } path) => await MeasureAsync(parsed, path, cancellationToken).ConfigureAwait(false),
            _ => throw new UsageException("give either --acceptance FILE, or --model DIR to measure"),
        };
        var layout = parsed.GetValue(_method) == "greedy" ? TreeOptimizer.Greedy(acceptance, nodes, depth) : new OptimalTrees(acceptance, nodes, depth).Layout(nodes);
        _output.Write(parsed, _terminal, layout ?? throw new InvalidDataException("no candidate was ever right, so no tree is better than none"), acceptance);
        return CommandLine.Success;
    }

    /// <summary>Lets the drafter propose in every round, computes all of it, and counts by depth and rank what was right.</summary>
    private async Task<AcceptanceTable> MeasureAsync(ParseResult parsed, string path, CancellationToken cancellationToken)
    {
        var prompts = parsed.GetValue(_prompts) ?? throw new UsageException("--model needs --prompts FILE to measure on");
        CommonOptions.RequireAtLeast("--max-tokens", parsed.GetValue(_maxTokens), 2);
        CommonOptions.RequireAtLeast("--limit", parsed.GetValue(_limit), 1);
        var texts = PromptFile.Read(prompts, parsed.GetValue(_limit));
        var options = _drafters.Apply(parsed, _compute.Apply(parsed, new EngineOptions { MaxSequences = 1, MaxTreeNodes = MeasuredNodes + 1 }));
        options = options with { DraftOptions = options.DraftOptions ?? new DraftModelOptions { Depth = MeasuredDepth, Width = MeasuredWidth, StopBelow = 0 } };
        using var engine = InferenceEngine.Load(path, options);
        var drafter = parsed.GetValue(_drafter) ?? UsuallyMeasured.FirstOrDefault(engine.Drafters.Contains)
            ?? throw new UsageException($"there are neither heads nor a draft model; choose whom to measure with --drafter: {string.Join(", ", engine.Drafters)}");
        if (!engine.Drafters.Contains(drafter))
        {
            throw new UsageException($"--drafter: there is no '{drafter}'; expected one of {string.Join(", ", engine.Drafters)}");
        }

        var generation = new GenerationOptions
        {
            MaxTokens = parsed.GetValue(_maxTokens),
            Temperature = parsed.GetValue(_temperature),
            Speculation = new SpeculationOptions { Drafters = [drafter], MaxNodes = MeasuredNodes, Unplanned = true },
        };
        List<DrafterStats> measured = [];
        foreach (var (number, prompt) in MeasureOptions.Fitting(engine, texts, generation.MaxTokens.Value, _terminal).Index())
        {
            var result = await engine.CompleteAsync(prompt, generation with { Seed = (ulong)number }, cancellationToken).ConfigureAwait(false);
            measured.Add(result.Speculation.Drafters.Single());
            MeasureOptions.Progress(_terminal, $"{number + 1} prompts");
        }

        return AcceptanceFile.TableOf(SpeculationReport.Sum(measured).Ranks, drafter);
    }
}
