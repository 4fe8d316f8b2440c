using System.CommandLine;
using System.Globalization;
using NativeSpec.Training.Runs;

namespace NativeSpec.Cli.Training;

/// <summary>The shape of a model to train.</summary>
internal sealed class ShapeFlags
{
    private readonly ModelShape _defaults;
    private readonly Option<int?> _hidden, _layers, _heads, _kvHeads, _intermediate;

    public ShapeFlags(ModelShape defaults)
    {
        _defaults = defaults;
        _hidden = With("--hidden", "Width of the residual stream", defaults.Hidden);
        _layers = With("--layers", "Decoder layers", defaults.Layers);
        _heads = With("--heads", "Query heads", defaults.Heads);
        _kvHeads = With("--kv-heads", "Key and value heads", defaults.KvHeads);
        _intermediate = With("--intermediate", "Width of the feed-forward layer", defaults.Intermediate);
    }

    public IEnumerable<Option> All => [_hidden, _layers, _heads, _kvHeads, _intermediate];

    /// <summary>What the command line asks for.</summary>
    /// <exception cref="UsageException">A number is below 1, or the heads do not divide the width.</exception>
    public ModelShape Read(ParseResult parsed)
    {
        foreach (var option in All.Cast<Option<int?>>())
        {
            CommonOptions.RequireAtLeast(option.Name, parsed.GetValue(option), 1);
        }

        var shape = new ModelShape
        {
            Hidden = parsed.GetValue(_hidden) ?? _defaults.Hidden,
            Layers = parsed.GetValue(_layers) ?? _defaults.Layers,
            Heads = parsed.GetValue(_heads) ?? _defaults.Heads,
            KvHeads = parsed.GetValue(_kvHeads) ?? _defaults.KvHeads,
            Intermediate = parsed.GetValue(_intermediate) ?? _defaults.Intermediate,
        };
        return shape.Hidden % shape.Heads == 0
            ? shape
            : throw new UsageException($"--hidden is {shape.Hidden} and --heads {shape.Heads}; expected a width that the heads divide");
    }

    private static Option<int?> With(string name, string description, int value)
        => new(name) { Description = string.Create(CultureInfo.InvariantCulture, $"{description} (default {value})"), HelpName = "N" };
}
