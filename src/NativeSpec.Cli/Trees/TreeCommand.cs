using System.CommandLine;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Trees;

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
