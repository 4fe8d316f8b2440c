using System.Globalization;
using NativeSpec.Cli;
using NativeSpec.Cli.Benchmarks.Load;
using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>The races of one kind.</summary>
/// <param name="Weights">How matrices are packed.</param>
/// <param name="Streams">Texts at once.</param>
/// <param name="Busy">Threads beside the engines.</param>
internal sealed record DuelResult(WeightFormat Weights, int Streams, int Busy)
{
    private readonly List<(Race Ours, Race Theirs)> _races = [];

    /// <summary>The engines, by their own descriptions.</summary>
    public IEnumerable<string> Engines => _races.SelectMany(race => new[] { race.Ours.Engine, race.Theirs.Engine }).Distinct();

    /// <summary>Medians of all races.</summary>
    public (double Ours, double Theirs, double Ratio) TokensPerSecond
        => (Median(race => race.Ours.TokensPerSecond), Median(race => race.Theirs.TokensPerSecond), Median(race => race.Ours.TokensPerSecond / race.Theirs.TokensPerSecond));

    /// <summary>Of all races together.</summary>
    public (Percentiles Ours, Percentiles Theirs) GapsMs => (Percentiles.Of(_races.SelectMany(race => race.Ours.GapsMs)), Percentiles.Of(_races.SelectMany(race => race.Theirs.GapsMs)));

    /// <summary>How many tokens both engines begin a text with alike, and how many a text has: means over all texts. Packing rounds in two ways, and random weights
    /// answer to that soon; a model that is another would begin otherwise at once.</summary>
    public (double Alike, double All) TokensAlike
    {
        get
        {
            var texts = _races.SelectMany(race => race.Ours.Ids.Zip(race.Theirs.Ids)).ToArray();
            return (texts.Average(text => text.First.Zip(text.Second).TakeWhile(pair => pair.First == pair.Second).Count()), texts.Average(text => text.First.Length));
        }
    }

    public void Add(Race ours, Race theirs) => _races.Add((ours, theirs));

    private double Median(Func<(Race Ours, Race Theirs), double> number) => Percentiles.Of(_races.Select(number)).P50;
}

/// <summary>Shows what a duel has found.</summary>
internal sealed class DuelReport(Terminal terminal)
{
    private static readonly string[] Titles =
    [
        "weights", "streams", "busy", "ours tokens/s", "p50 ms", "p99 ms", "LLamaSharp tokens/s", "p50 ms", "p99 ms", "tokens/s ratio", "p99 ratio", "tokens alike",
    ];

    /// <summary>Prints a table, or one JSON object.</summary>
    public void Print(IReadOnlyList<DuelResult> results, bool json)
    {
        if (json)
        {
            JsonOutput.Print(terminal.Out, writer =>
            {
                writer.WriteStartArray("races");
                foreach (var result in results)
                {
                    Write(writer, result);
                }

                writer.WriteEndArray();
            });
            return;
        }

        Tables.Print(terminal, Titles, rightFrom: 1, results.Select(Row));
        foreach (var engine in results.SelectMany(result => result.Engines).Distinct())
        {
            terminal.Out.WriteLine(engine);
        }
    }

    private static void Write(System.Text.Json.Utf8JsonWriter writer, DuelResult result)
    {
        var (speed, gaps, alike) = (result.TokensPerSecond, result.GapsMs, result.TokensAlike);
        writer.WriteStartObject();
        writer.WriteString("weights", result.Weights.ToString());
        writer.WriteNumber("streams", result.Streams);
        writer.WriteNumber("busy_neighbours", result.Busy);
        writer.WriteMeasured("ours_tokens_per_second", speed.Ours);
        gaps.Ours.Write(writer, "ours_between_tokens_ms");
        writer.WriteMeasured("llamasharp_tokens_per_second", speed.Theirs);
        gaps.Theirs.Write(writer, "llamasharp_between_tokens_ms");
        writer.WriteMeasured("tokens_per_second_ratio", speed.Ratio);
        writer.WriteMeasured("p99_ratio", gaps.Ours.P99 / gaps.Theirs.P99);
        writer.WriteMeasured("tokens_alike", alike.Alike);
        writer.WriteMeasured("tokens", alike.All);
        writer.WriteEndObject();
    }

    private static string[] Row(DuelResult result)
    {
        var (speed, gaps, alike) = (result.TokensPerSecond, result.GapsMs, result.TokensAlike);
        return
        [
            result.Weights.ToString(), Text($"{result.Streams}"), Text($"{result.Busy}"), Text($"{speed.Ours:0.0}"), Text($"{gaps.Ours.P50:0.0}"), Text($"{gaps.Ours.P99:0.0}"),
            Text($"{speed.Theirs:0.0}"), Text($"{gaps.Theirs.P50:0.0}"), Text($"{gaps.Theirs.P99:0.0}"), Text($"{speed.Ratio:0.00}"), Text($"{gaps.Ours.P99 / gaps.Theirs.P99:0.00}"),
            Text($"{alike.Alike:0} of {alike.All:0}"),
        ];

        static string Text(FormattableString number) => number.ToString(CultureInfo.InvariantCulture);
    }
}
