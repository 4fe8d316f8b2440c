using System.Text.Json;

namespace NativeSpec.Engine.Profiles;

/// <content>Writing.</content>
internal static partial class ProfileJson
{
    private static readonly JsonWriterOptions Written = new() { Indented = true };

    /// <summary>The file's bytes.</summary>
    /// <exception cref="ArgumentException">A number is none that JSON has.</exception>
    public static byte[] Render(ProfileContent content)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, Written))
        {
            json.WriteStartObject();
            json.WriteNumber("version", content.Version);
            json.WriteString("key", content.Key);
            json.WriteStartObject("acceptance");
            foreach (var (drafter, cells) in content.Acceptance)
            {
                json.WriteStartArray(drafter);
                foreach (var cell in cells)
                {
                    json.WriteStartArray();
                    WriteValues(json, cell);
                }

                json.WriteEndArray();
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
                json.WriteStartObject(drafter);
                Write(json, tuning);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteString("saved", content.Saved);
            if (content.Cost is { } cost)
            {
                json.WriteStartObject("cost");
                Write(json, cost);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter json, DrafterTuning tuning)
    {
        json.WriteString("name", tuning.Name);
        json.WriteBoolean("pays", tuning.Pays);
        if (tuning.Depth is { } depth)
        {
            json.WriteNumber("depth", depth);
        }

        if (tuning.Width is { } width)
        {
            json.WriteNumber("width", width);
        }

        json.WriteNumber("speed_up", tuning.SpeedUp);
        json.WriteNumber("rounds", tuning.Rounds);
        json.WriteString("measured", tuning.Measured);
    }

    private static void Write(Utf8JsonWriter json, ProfileCost cost)
    {
        json.WriteNumber("max_nodes", cost.MaxNodes);
        json.WriteNumber("max_context", cost.MaxContext);
        WriteWholeNumbers(json, "nodes", cost.Nodes);
        WriteWholeNumbers(json, "contexts", cost.Contexts);
        WriteNumbers(json, "seconds", cost.Seconds);
        WriteNumbers(json, "spread", cost.Spread);
        json.WriteString("measured", cost.Measured);
        json.WriteNumber("rounds", cost.Rounds);
    }

    private static void WriteWholeNumbers(Utf8JsonWriter json, string name, int[] numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, double[] numbers)
    {
        json.WriteStartArray(name);
        WriteValues(json, numbers);
    }

    /// <summary>The numbers of an array that has begun, and its end.</summary>
    private static void WriteValues(Utf8JsonWriter json, double[] numbers)
    {
        foreach (var number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }
}
