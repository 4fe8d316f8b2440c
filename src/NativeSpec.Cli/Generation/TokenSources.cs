using System.Text;
using System.Text.Json;

namespace NativeSpec.Cli.Generation;

/// <summary>Where the tokens of a text came from, as a trace of its rounds tells it.</summary>
internal static class TokenSources
{
    /// <summary>For each token the drafter that proposed it first, or null where the model itself chose it.</summary>
    /// <param name="trace">The lines of a <see cref="Speculation.SpeculationTrace"/> of one request, in UTF-8.</param>
    /// <param name="tokens">How many tokens the text has. Those before the first round were written with the prompt.</param>
    public static string?[] Read(ReadOnlySpan<byte> trace, int tokens)
    {
        List<string?> sources = [];
        foreach (var line in Encoding.UTF8.GetString(trace).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var round = JsonDocument.Parse(line);
            sources.AddRange(OfRound(round.RootElement));
        }

        return [.. new string?[tokens - sources.Count], .. sources];
    }

    /// <summary>The same for the tokens of one round, a line of the trace.</summary>
    public static IEnumerable<string?> OfRound(JsonElement round)
    {
        // The accepted nodes are the path, so they are the first of the round's tokens in this order; the last one is the model's.
        var accepted = round.GetProperty("nodes").EnumerateArray()
            .Where(node => node.GetProperty("accepted").GetBoolean() && node.GetProperty("depth").GetInt32() > 0)
            .Select(node => node.GetProperty("drafters")[0].GetProperty("name").GetString()).ToArray();
        return Enumerable.Range(0, round.GetProperty("emitted").GetArrayLength()).Select(i => i < accepted.Length ? accepted[i] : null).ToArray();
    }
}
