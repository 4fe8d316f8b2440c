using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Engine.Profiles;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Cli.Profiles;

/// <summary><c>nativespec profile show</c>: what an engine would believe of this machine.</summary>
internal sealed class ProfileShowCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string?> _model = ProfileCommand.Model("The model whose profile is shown; by default all profiles are");
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public ProfileShowCommand(Terminal terminal)
        : base("show", "Show profiles: the time of a forward by nodes and context, and what tune found about drafters")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Array.ForEach([_model, .. _compute.All, _json], Add);
        SetAction(Run);
    }

    public IReadOnlyList<string> Examples => ["nativespec profile show", "nativespec profile show --model models/tinyllama --json"];

    private int Run(ParseResult parsed)
    {
        var directory = ProfileCommand.Directory();
        IReadOnlyList<(string File, ProfileContent Content)> profiles;
        if (parsed.GetValue(_model) is { } model)
        {
            var file = ProfileFolder.FileOf(directory, model, _compute.Apply(parsed, new EngineOptions()));
            profiles = File.Exists(file) ? [(file, ProfileJson.Read(file))] : [];
        }
        else
        {
            profiles = ProfileFolder.All(directory);
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => Write(json, directory, profiles));
            return CommandLine.Success;
        }

        if (profiles.Count == 0)
        {
            _terminal.Out.WriteLine($"there is none in {directory}");
        }

        foreach (var (file, content) in profiles)
        {
            Print(file, content);
        }

        return CommandLine.Success;
    }

    private void Print(string file, ProfileContent content)
    {
        _terminal.Out.WriteLine(file);
        _terminal.Out.WriteLine(Tables.Printable(content.Key));
        if (content.Cost is { } cost)
        {
            var disturbed = cost.Spread.Count(spread => spread > CostCurve.Steady);
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"measured {cost.Measured:u}, refined by {cost.Rounds} rounds; {(disturbed == 0 ? "all points are steady" : $"{disturbed} of {cost.Spread.Length} points are in doubt (~)")}"));
            Tables.Print(_terminal, ["forward, ms", .. cost.Nodes.Select(n => $"{n} node{(n == 1 ? "" : "s")}")], 1, cost.Contexts.Select((context, row) => (string[])
            [
                $"context {context}",
                .. cost.Nodes.Select((_, column) => Cell(cost, (row * cost.Nodes.Length) + column)),
            ]));
        }

        foreach (var (drafter, tuning) in content.Tuning.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            var until = tuning.Measured + tuning.HoldsFor;
            var how = tuning is { Depth: { } depth, Width: { } width } ? $", best with {depth} levels of {width}" : "";
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Tables.Printable(drafter)}: {(tuning.Pays ? "pays" : $"does not pay (until {until:u})")}, × {tuning.SpeedUp:0.00} in {tuning.Rounds} rounds, {tuning.Measured:u}{how}"));
        }

        _terminal.Out.WriteLine();
    }

    private static string Cell(ProfileCost cost, int point)
        => (1e3 * cost.Seconds[point]).ToString("0.000", CultureInfo.InvariantCulture) + (cost.Spread[point] > CostCurve.Steady ? " ~" : "");

    private static void Write(Utf8JsonWriter json, string directory, IReadOnlyList<(string File, ProfileContent Content)> profiles)
    {
        json.WriteString("directory", directory);
        json.WriteStartArray("profiles");
        foreach (var (file, content) in profiles)
        {
            json.WriteStartObject();
            json.WriteString("file", file);
            json.WritePropertyName("profile");
            json.WriteRawValue(ProfileJson.Render(content)); // as it is kept
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
