using System.CommandLine;
using System.Globalization;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.Medusa;

namespace NativeSpec.Cli;

/// <summary>The options by which commands choose drafters and how they speculate.</summary>
internal sealed class SpeculationFlags
{
    private static readonly string[] Methods = ["draft", "medusa", "lookahead", "lookup", "recycle"];

    private readonly Option<string> _speculate = new("--speculate") { Description = "auto (default) uses every drafter that pays, off none, or a list of: " + string.Join(", ", Methods), HelpName = "auto|off|LIST", DefaultValueFactory = _ => "auto" };
    private readonly Option<bool> _unplanned = new("--unplanned") { Description = "Compute every candidate up to --max-nodes, also where that is expected to cost more than it brings" };
    private readonly Option<int?> _maxNodes = new("--max-nodes") { Description = "Most candidates computed in a round, 1 to 256 (default 64)", HelpName = "N" };
    private readonly Option<bool> _sampleDrafts = new("--sample-drafts") { Description = "Draft models sample their tokens: the same distribution, but not the same text for a seed as without" };
    private readonly Option<string?> _lossyTypical = new("--lossy-typical") { Description = "Accept by Medusa's typical acceptance (default 0.09,0.3). LOSSY: the text does not follow the model", HelpName = "EPS,DELTA", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _trace = new("--trace") { Description = "Write each round's tree and what became of it to a file, as JSON lines", HelpName = "FILE" };

    private readonly Option<string[]> _draftModels = new("--draft-model") { Description = "A smaller checkpoint that drafts; may be given several times", HelpName = "DIR" };
    private readonly Option<int?> _draftDepth = new("--draft-depth") { Description = "Longest path that a draft model drafts (default: what tune found, or 6)", HelpName = "N" };
    private readonly Option<int?> _draftWidth = new("--draft-width") { Description = "Nodes it keeps per depth; 1 is a chain (default: what tune found, or 1)", HelpName = "N" };
    private readonly Option<string?> _medusa = new("--medusa") { Description = "Medusa heads: a folder or file", HelpName = "DIR" };
    private readonly Option<string?> _tree = new("--tree") { Description = "A static tree for the heads, by name (nativespec tree show) or from a file; by default trees follow their probabilities", HelpName = "NAME|FILE" };
    private readonly Option<string?> _lookahead = new("--lookahead") { Description = "Lookahead's window, n-gram length and guesses (default 7,5,7)", HelpName = "W,N,G" };

    /// <summary>What says which drafters there are.</summary>
    public IEnumerable<Option> DrafterOptions => [_draftModels, _draftDepth, _draftWidth, _medusa, _tree, _lookahead];

    /// <summary>What says whether and with which drafters a text speculates.</summary>
    public Option Method => _speculate;

    /// <summary>What says how a text uses them.</summary>
    public IEnumerable<Option> RequestOptions => [_speculate, _unplanned, _maxNodes, _sampleDrafts, _lossyTypical, _trace];

    /// <summary>The trace's file, if one is wanted.</summary>
    public string? TraceFile(ParseResult parsed) => parsed.GetValue(_trace);

    /// <summary>The engine with the drafters that the command line names.</summary>
    /// <exception cref="UsageException">The options do not go together.</exception>
    public EngineOptions Apply(ParseResult parsed, EngineOptions options)
    {
        var models = DraftModels(parsed);
        var (depth, width) = (parsed.GetValue(_draftDepth), parsed.GetValue(_draftWidth));
        if (models.Length == 0 && (depth ?? width) is not null)
        {
            throw new UsageException("--draft-depth and --draft-width need --draft-model");
        }

        var draft = new DraftModelOptions();
        return options with
        {
            DraftModels = models,
            DraftOptions = (depth ?? width) is null ? null : Draft(depth ?? draft.Depth, width ?? draft.Width),
            Medusa = parsed.GetValue(_medusa),
            MedusaOptions = new MedusaOptions { Tree = parsed.GetValue(_tree) is { } tree ? MedusaTrees.Load(tree) : null },
            LookaheadOptions = parsed.GetValue(_lookahead) is { } lookahead ? Lookahead(lookahead) : new LookaheadOptions(),
            MaxTreeNodes = Math.Max(options.MaxTreeNodes, (parsed.GetValue(_maxNodes) ?? 0) + 1),
        };
    }

    /// <summary>The draft models that the command line names.</summary>
    public string[] DraftModels(ParseResult parsed) => parsed.GetValue(_draftModels) ?? [];

    /// <summary>How a text speculates.</summary>
    /// <exception cref="UsageException">The options do not go together.</exception>
    public SpeculationOptions Request(ParseResult parsed)
    {
        var method = parsed.GetValue(_speculate)!;
        if (method == "off")
        {
            foreach (var option in DrafterOptions.Concat([_unplanned, _maxNodes, _sampleDrafts, _lossyTypical]))
            {
                if (parsed.GetResult(option) is { Implicit: false })
                {
                    throw new UsageException($"{option.Name} does not go with --speculate off");
                }
            }

            return SpeculationOptions.Off;
        }

        var options = new SpeculationOptions
        {
            Drafters = method == "auto" ? null : Names(method, DraftModels(parsed).Length),
            Unplanned = parsed.GetValue(_unplanned),
            SampleDrafts = parsed.GetValue(_sampleDrafts),
            LossyTypicalAcceptance = parsed.GetResult(_lossyTypical) is { Implicit: false } ? Typical(parsed.GetValue(_lossyTypical)) : null,
        };
        var nodes = parsed.GetValue(_maxNodes);
        return nodes is null or (>= 1 and <= 256)
            ? options with { MaxNodes = nodes ?? options.MaxNodes }
            : throw new UsageException($"--max-nodes is {nodes}; expected 1 to 256");
    }

    /// <summary>A list such as <c>draft,lookup</c> as the engine's names; draft stands for all draft models.</summary>
    public static IReadOnlyList<string> Names(string list, int draftModels)
    {
        List<string> names = [];
        foreach (var name in list.Split(','))
        {
            if (!Methods.Contains(name))
            {
                throw new UsageException($"--speculate: there is no '{name}'; expected auto, off, or a list of {string.Join(", ", Methods)}");
            }

            if (name == "draft" && draftModels == 0)
            {
                throw new UsageException("draft needs a draft model: add --draft-model DIR");
            }

            names.AddRange(name == "draft" ? Enumerable.Range(1, draftModels).Select(number => number == 1 ? name : $"{name}{number}") : [name]);
        }

        return names;
    }

    private static DraftModelOptions Draft(int depth, int width)
        => depth is >= 1 and <= 32 && width is >= 1 and <= 16 ? new DraftModelOptions { Depth = depth, Width = width }
            : throw new UsageException($"--draft-depth is {depth} and --draft-width is {width}; expected 1 to 32 and 1 to 16");

    private static LookaheadOptions Lookahead(string text)
    {
        int[] numbers = [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : -1)];
        if (numbers.Length != 3 || numbers[0] is < 0 or > 256 || numbers[1] is < 2 or > 32 || numbers[2] is < 1 or > 256)
        {
            throw new UsageException($"--lookahead is '{text}'; expected W,N,G with W from 0 to 256, N from 2 to 32 and G from 1 to 256, such as 7,5,7");
        }

        return new LookaheadOptions { Window = numbers[0], Level = numbers[1], Guesses = numbers[2] };
    }

    private static LossyTypicalAcceptance Typical(string? text)
    {
        if (text is null)
        {
            return new LossyTypicalAcceptance();
        }

        double[] numbers = [.. text.Split(',').Select(part => double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out var n) ? n : 0)];
        return numbers.Length == 2 && numbers.All(n => n is > 0 and <= 1)
            ? new LossyTypicalAcceptance(numbers[0], numbers[1])
            : throw new UsageException($"--lossy-typical is '{text}'; expected EPS,DELTA, both above 0 and at most 1, such as 0.09,0.3");
    }
}
