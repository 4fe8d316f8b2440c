using System.Text.Json;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>A measured number with its name.</summary>
/// <param name="Name">Of the number, as a JSON field.</param>
/// <param name="Value">NaN where it could not be measured.</param>
/// <param name="Unit">ms, s, tokens/s, × for a quotient, or nothing for a count.</param>
internal readonly record struct Figure(string Name, double Value, string Unit);

/// <summary>What a scenario has found.</summary>
/// <param name="Figures">Its numbers, in the order in which they are shown.</param>
/// <param name="Compared">Texts that were compared with those written alone.</param>
/// <param name="Different">Those that were others.</param>
/// <param name="Panels">Of a picture.</param>
/// <param name="Errors">Failures that the scenario does not provoke, by the name of their exception.</param>
internal sealed record ScenarioResult(IReadOnlyList<Figure> Figures, int Compared, int Different, IReadOnlyList<LoadPanel> Panels, IReadOnlyList<string> Errors)
{
    /// <summary>What was found, with the samples whose texts and failures count.</summary>
    public static ScenarioResult Of(IReadOnlyList<Figure> figures, IReadOnlyCollection<LoadSample> samples, params LoadPanel[] panels) => new(
        figures, samples.Count(sample => sample.IsCompared), samples.Count(sample => sample.Differs), panels, [.. samples.Select(sample => sample.Error).OfType<string>()]);

    /// <summary>For programs.</summary>
    public void Write(Utf8JsonWriter json)
    {
        foreach (var figure in Figures)
        {
            json.WriteMeasured(figure.Name, figure.Value);
        }

        json.WriteNumber("texts", Compared);
        json.WriteNumber("texts_different", Different);
        json.WriteStartObject("errors");
        foreach (var group in Errors.GroupBy(error => error))
        {
            json.WriteNumber(group.Key, group.Count());
        }

        json.WriteEndObject();
    }
}
