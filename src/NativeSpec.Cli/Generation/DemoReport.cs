using System.Globalization;
using System.Text.Json;
using NativeSpec.Cli.Benchmarks;
using Spectre.Console;

namespace NativeSpec.Cli.Generation;

/// <summary>What the demo shows.</summary>
internal static class DemoReport
{
    private static readonly Style Prompt = new(Color.Grey);

    /// <summary>For people. Where there are no colours the legend counts all the same.</summary>
    public static void Print(Terminal terminal, DemoModel model, string prompt, DemoRun run)
    {
        var console = TokenColours.Console(terminal);
        Line(console, $"{CommonOptions.ModelName(model.Path)}: {Tables.Count(run.Parameters)} parameters; {run.Backend}");

        Line(console, $"\nPlain decoding, one forward for each token: {Middle(run.PlainSpeeds):0} tokens/s\n");
        console.Write(new Text(prompt, Prompt));
        Line(console, run.Plain.Text.TrimEnd());

        var stats = run.Speculative.Speculation;
        Line(console, $"\nMerged speculation, the candidates of all drafters in one tree: {Middle(run.Speeds):0} tokens/s\n");
        console.Write(new Text(prompt, Prompt));
        var last = Array.FindLastIndex(run.Texts, text => !string.IsNullOrWhiteSpace(text));
        for (var i = 0; i <= last; i++)
        {
            console.Write(new Text(i == last ? run.Texts[i].TrimEnd() : run.Texts[i], TokenColours.Of(run.Sources[i])));
        }

        Line(console, "\n");
        foreach (var (name, style, meaning) in TokenColours.All.Where(source => run.Sources.Contains(source.Name)))
        {
            console.Write(new Text("■ ", style));
            Line(console, $"{run.Sources.Count(source => source == name),4} tokens: {meaning}");
        }

        Line(console, $"■ {run.Sources.Count(source => source is null),4} tokens: the model itself");
        var ratio = Quartiles.Of(run.Ratios);
        Line(console, $"\n{(run.IsSameText ? "The same text, token for token" : "ANOTHER TEXT")}: {run.Plain.Ids.Count} tokens in {stats.Rounds} rounds, {stats.TokensPerRound:0.00} tokens a round.");
        Line(console, $"{ratio.Median:0.00} times as fast (median of {run.Ratios.Count} pairs in turns; middle half {ratio.Lower:0.00} to {ratio.Upper:0.00}).");
        terminal.Out.Flush();
    }

    /// <summary>For programs.</summary>
    public static void Write(Utf8JsonWriter json, DemoModel model, string prompt, DemoRun run)
    {
        json.WriteString("model", CommonOptions.ModelName(model.Path));
        json.WriteNumber("parameters", run.Parameters);
        json.WriteString("backend", run.Backend);
        json.WriteString("prompt", prompt);
        json.WriteString("text", run.Plain.Text);
        json.WriteBoolean("same_text", run.IsSameText);
        json.WriteNumber("tokens", run.Plain.Ids.Count);
        json.WriteMeasured("ratio", Middle(run.Ratios));
        json.WriteMeasured("plain_tokens_per_second", Middle(run.PlainSpeeds));
        json.WriteMeasured("tokens_per_second", Middle(run.Speeds));
        foreach (var (name, values) in ((string, List<double>)[])[("ratios", run.Ratios), ("plain_speeds", run.PlainSpeeds), ("speeds", run.Speeds)])
        {
            json.WriteStartArray(name);
            values.ForEach(value => json.WriteNumberValue(Math.Round(value, 3)));
            json.WriteEndArray();
        }

        json.WriteStartArray("pieces");
        for (var i = 0; i < run.Texts.Length; i++)
        {
            json.WriteStartObject();
            json.WriteNumber("id", run.Speculative.Ids[i]);
            json.WriteString("text", run.Texts[i]);
            json.WriteString("drafter", run.Sources[i]);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        SpeculationReport.Write(json, run.Speculative.Speculation);
    }

    private static double Middle(List<double> values) => Quartiles.Of(values).Median;

    private static void Line(IAnsiConsole console, FormattableString text) => Line(console, text.ToString(CultureInfo.InvariantCulture));

    private static void Line(IAnsiConsole console, string text) => console.Write(new Text(text + "\n"));
}
