using System.Buffers;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine;

/// <summary>A profile as a file:
/// <code>
/// { "version": 5, "key": "…",
///   "cost": { "max_nodes": 64, "max_context": 2048, "nodes": [1, 2, …], "contexts": [32, 1984], "seconds": [0.01, …, one row per context] },
///   "acceptance": { "lookup": [[cell, right, all], …] }, "mixer": { "lookup": [1, 0.9, …] },
///   "tuning": { "draft /models/small": { "pays": true, "depth": 4, "width": 1 } } }
/// </code></summary>
internal static class ProfileJson
{
    private const int Version = 5;
    private const int MaxBytes = 1 << 22;
    private const int MaxDrafters = 256;
    private const double MaxWeight = 100; // a mixer that learns by itself stays far below it

    public static byte[] Render(ProfileContent content)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("version", Version);
            json.WriteString("key", content.Key);
            json.WriteStartObject("cost");
            json.WriteNumber("max_nodes", content.MaxNodes);
            json.WriteNumber("max_context", content.MaxContext);
            WriteNumbers(json, "nodes", content.Nodes.Select(n => (double)n));
            WriteNumbers(json, "contexts", content.Contexts.Select(n => (double)n));
            WriteNumbers(json, "seconds", content.Seconds);
            json.WriteEndObject();
            json.WriteStartObject("acceptance");
            foreach (var (drafter, counts) in content.Acceptance)
            {
                WriteCounts(json, drafter, counts);
            }

            json.WriteEndObject();
            json.WriteStartObject("mixer");
            foreach (var (drafter, weights) in content.Mixer)
            {
                WriteNumbers(json, drafter, weights);
            }

            json.WriteEndObject();
            json.WriteStartObject("tuning");
            foreach (var (drafter, tuning) in content.Tuning)
            {
                WriteTuning(json, drafter, tuning);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads a file; null where there is none for this key that can be trusted.</summary>
    public static ProfileContent? TryRead(string file, string key)
    {
        try
        {
            if (!File.Exists(file))
            {
                return null;
            }

            using var document = JsonText.ParseObject(file, RegularFile.ReadAll(file, MaxBytes, nameof(MaxBytes)));
            var root = document.RootElement;
            return root.GetProperty("version").GetInt32() == Version && root.GetProperty("key").GetString() == key ? Read(root, key) : null;
        }
        catch (Exception e) when (e is ModelFormatException or InvalidOperationException or FormatException or ArgumentException or KeyNotFoundException or IndexOutOfRangeException)
        {
            return null;
        }
    }

    private static ProfileContent Read(JsonElement root, string key)
    {
        var cost = root.GetProperty("cost");
        var content = new ProfileContent(key)
        {
            MaxNodes = cost.GetProperty("max_nodes").GetInt32(),
            MaxContext = cost.GetProperty("max_context").GetInt32(),
            Nodes = [.. cost.GetProperty("nodes").EnumerateArray().Select(n => n.GetInt32())],
            Contexts = [.. cost.GetProperty("contexts").EnumerateArray().Select(n => n.GetInt32())],
            Seconds = [.. cost.GetProperty("seconds").EnumerateArray().Select(s => s.GetDouble())],
        };
        var isCurve = content.Nodes.Length * content.Contexts.Length == content.Seconds.Length
            && content.Contexts.Select((n, i) => i == 0 ? n >= 0 : n > content.Contexts[i - 1]).All(ascends => ascends)
            && content.Nodes.Select((n, i) => i == 0 ? n == 1 : n > content.Nodes[i - 1]).All(ascends => ascends)
            && content.Seconds.All(s => s > 0 && double.IsFinite(s));
        Require(isCurve && IsSmall(root.GetProperty("acceptance")) && IsSmall(root.GetProperty("mixer")) && IsSmall(root.GetProperty("tuning")));
        foreach (var drafter in root.GetProperty("acceptance").EnumerateObject())
        {
            content.Acceptance[drafter.Name] = ReadCounts(drafter.Value, AcceptanceEstimates.CountsPerDrafter);
        }

        foreach (var drafter in root.GetProperty("mixer").EnumerateObject())
        {
            double[] weights = [.. drafter.Value.EnumerateArray().Select(weight => weight.GetDouble())];
            Require(weights.Length == LogisticMixer.WeightsPerDrafter && weights.All(weight => Math.Abs(weight) <= MaxWeight));
            content.Mixer[drafter.Name] = weights;
        }

        foreach (var drafter in root.GetProperty("tuning").EnumerateObject())
        {
            content.Tuning[drafter.Name] = ReadTuning(drafter);
        }

        return content;
    }

    private static bool IsSmall(JsonElement byDrafter) => byDrafter.EnumerateObject().Count() <= MaxDrafters;

    private static (double Right, double All)[] ReadCounts(JsonElement cells, int length)
    {
        var counts = new (double Right, double All)[length];
        foreach (var cell in cells.EnumerateArray())
        {
            var (right, all) = (cell[1].GetDouble(), cell[2].GetDouble());
            Require(right >= 0 && right <= all && double.IsFinite(all));
            counts[cell[0].GetInt32()] = (right, all);
        }

        return counts;
    }

    private static void WriteCounts(Utf8JsonWriter json, string name, (double Right, double All)[] counts)
    {
        json.WriteStartArray(name);
        for (var cell = 0; cell < counts.Length; cell++)
        {
            if (counts[cell].All > 0)
            {
                WriteNumbers(json, null, [cell, counts[cell].Right, counts[cell].All]);
            }
        }

        json.WriteEndArray();
    }

    private static DrafterTuning ReadTuning(JsonProperty drafter)
    {
        int? depth = drafter.Value.TryGetProperty("depth", out var d) ? d.GetInt32() : null;
        int? width = drafter.Value.TryGetProperty("width", out var w) ? w.GetInt32() : null;
        if (depth is not null || width is not null)
        {
            new DraftModelOptions { Depth = depth ?? 0, Width = width ?? 0 }.Validate();
        }

        return new DrafterTuning(drafter.Name, drafter.Value.GetProperty("pays").GetBoolean(), depth, width);
    }

    private static void WriteTuning(Utf8JsonWriter json, string drafter, DrafterTuning tuning)
    {
        json.WriteStartObject(drafter);
        json.WriteBoolean("pays", tuning.Pays);
        if (tuning is { Depth: { } depth, Width: { } width })
        {
            json.WriteNumber("depth", depth);
            json.WriteNumber("width", width);
        }

        json.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string? name, IEnumerable<double> numbers)
    {
        if (name is not null)
        {
            json.WritePropertyName(name);
        }

        json.WriteStartArray();
        foreach (var number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }

    private static void Require(bool holds)
    {
        if (!holds)
        {
            throw new FormatException("the profile's numbers make no sense");
        }
    }
}
