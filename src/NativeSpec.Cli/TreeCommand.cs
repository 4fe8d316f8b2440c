using System.CommandLine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli;

/// <summary><c>nativespec tree</c>: static trees for Medusa heads.</summary>
internal sealed class TreeCommand : Command
{
    public TreeCommand(Terminal terminal)
        : base("tree", "Show static trees of candidates, or find the best one for a number of nodes")
    {
        Add(new TreeShowCommand(terminal));
        Add(new TreeOptimizeCommand(terminal));
    }
}

/// <summary><c>nativespec tree show</c>: a layout and its mask.</summary>
internal sealed class TreeShowCommand : Command, IHasExamples
{
    private readonly Argument<string?> _tree = new("tree") { Description = "A published tree's name, or a file: medusa_choices as JSON or Python, or the JSON of this command; without it, the names are listed", Arity = ArgumentArity.ZeroOrOne, HelpName = "NAME|FILE" };
    private readonly TreeOutput _output = new();

    public TreeShowCommand(Terminal terminal)
        : base("show", "Print a tree and its mask")
    {
        Add(_tree);
        _output.AddTo(this);
        SetAction(parsed =>
        {
            if (parsed.GetValue(_tree) is { } tree)
            {
                _output.Write(parsed, terminal, MedusaTrees.Load(tree), null);
            }
            else
            {
                terminal.Out.WriteLine(string.Join(Environment.NewLine, MedusaTrees.Names));
            }

            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples => [$"nativespec tree show {MedusaTrees.Default}", "nativespec tree show choices.py --format svg --out tree.svg"];
}

/// <summary><c>nativespec tree optimize</c>: the best layout for a number of nodes, from measured acceptance.</summary>
internal sealed class TreeOptimizeCommand : Command, IHasExamples
{
    private readonly Option<string> _acceptance = new("--acceptance") { Description = "What was measured: the JSON of bench speculation or generate, a trace, or a table [[rank 1, rank 2, …], …] by depth", HelpName = "FILE", Required = true };
    private readonly Option<string?> _drafter = new("--drafter") { Description = "Whose acceptance, where the file has several drafters'", HelpName = "NAME" };
    private readonly Option<int> _nodes = new("--nodes") { Description = "Most nodes, the root included", HelpName = "N", Required = true };
    private readonly Option<int?> _maxDepth = new("--max-depth") { Description = "Deepest node: the number of heads; by default as deep as was measured", HelpName = "N" };
    private readonly Option<string> _method = new("--method") { Description = "dp, dynamic programming (default), or greedy, as Medusa does it", HelpName = "greedy|dp", DefaultValueFactory = _ => "dp" };
    private readonly TreeOutput _output = new();

    public TreeOptimizeCommand(Terminal terminal)
        : base("optimize", "Find the tree that yields the most tokens per round")
    {
        _method.AcceptOnlyFromAmong("greedy", "dp");
        Option[] options = [_acceptance, _drafter, _nodes, _maxDepth, _method];
        Array.ForEach(options, Add);
        _output.AddTo(this);
        SetAction(parsed =>
        {
            var (nodes, depth) = (parsed.GetValue(_nodes), parsed.GetValue(_maxDepth) ?? TreeLayout.MaxDepth);
            if (nodes is < 2 or > TreeLayout.MaxNodes || depth is < 1 or > TreeLayout.MaxDepth)
            {
                throw new UsageException($"--nodes is {nodes} and --max-depth is {depth}; expected 2 to {TreeLayout.MaxNodes} and 1 to {TreeLayout.MaxDepth}");
            }

            var acceptance = AcceptanceFile.Read(parsed.GetValue(_acceptance)!, parsed.GetValue(_drafter));
            var layout = parsed.GetValue(_method) == "greedy" ? TreeOptimizer.Greedy(acceptance, nodes, depth) : new OptimalTrees(acceptance, nodes, depth).Layout(nodes);
            _output.Write(parsed, terminal, layout ?? throw new InvalidDataException("no candidate was ever right, so no tree is better than none"), acceptance);
            return CommandLine.Success;
        });
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec tree optimize --acceptance bench.json --drafter medusa --nodes 32 --format json --out tree.json",
        "nativespec tree optimize --acceptance rounds.jsonl --nodes 16 --max-depth 4 --method greedy",
    ];
}

/// <summary>How and where a tree is shown.</summary>
internal sealed class TreeOutput
{
    private readonly Option<string> _format = new("--format") { Description = "text (default), json or svg", HelpName = "text|json|svg", DefaultValueFactory = _ => "text" };
    private readonly Option<string?> _out = new("--out") { Description = "A file to write to, instead of standard output", HelpName = "F" };

    /// <summary>Gives a command these options.</summary>
    public void AddTo(Command command)
    {
        _format.AcceptOnlyFromAmong("text", "json", "svg");
        command.Add(_format);
        command.Add(_out);
    }

    /// <summary>Shows a tree.</summary>
    public void Write(ParseResult parsed, Terminal terminal, TreeLayout layout, AcceptanceTable? acceptance)
    {
        var shown = parsed.GetValue(_format) switch
        {
            "json" => TreeJson.Render(layout, acceptance),
            "svg" => TreeSvg.Render(layout, acceptance),
            _ => TreeText.Render(layout, acceptance),
        };
        if (parsed.GetValue(_out) is { } file)
        {
            File.WriteAllText(file, shown);
        }
        else
        {
            terminal.Out.WriteLine(shown.TrimEnd());
        }
    }
}
