using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Profiles;

/// <summary>A profile as a file:
/// <code>
/// { "version": 6, "key": "…", "saved": "2026-05-01T12:00:00+00:00",
///   "cost": { "max_nodes": 64, "max_context": 2048, "nodes": [1, 2, …], "contexts": [32, 1984],
///     "seconds": [0.01, …, one row per context], "spread": [0.05, …, likewise], "measured": "…", "rounds": 1234 },
///   "acceptance": { "lookup": [[cell, right, all], …] }, "mixer": { "lookup": [1, 0.9, …] },
///   "tuning": { "draft /models/small": { "name": "draft", "pays": true, "depth": 4, "width": 1, "speed_up": 1.3, "rounds": 812, "measured": "…" } } }
/// </code></summary>
/// <remarks>It is read and written by hand: every start of the command does both, and what the serializer needs for it is an eighth of all code that such a start compiles.</remarks>
internal static partial class ProfileJson
{
    /// <summary>The version that is written; no other is read.</summary>
    public const int Version = 6;

    private const int MaxBytes = 1 << 22;
    private const int MaxDrafters = 256;
    private const int MaxPoints = 1024;
    private const double MaxWeight = 100; // a mixer that learns by itself stays far below it

    /// <summary>Reads a file of any machine and model.</summary>
    /// <exception cref="ModelFormatException">It is not a profile of this version, or its numbers make no sense; the message says which.</exception>
    public static ProfileContent Read(string file)
    {
        var bytes = RegularFile.ReadAll(file, MaxBytes, nameof(MaxBytes));
        ProfileContent content;
        try
        {
            // The version first: another one may have other fields.
            using var document = JsonText.ParseObject(file, bytes);
            if (!document.RootElement.TryGetProperty("version", out var version) || !version.TryGetInt32(out var number) || number != Version)
            {
                throw new ModelFormatException(file, $"is no profile of version {Version}; have the machine measured again");
            }

            content = Parse(document.RootElement);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException(file, $"is no profile: {error.Message}", error);
        }

        return Fault(content) is { } fault ? throw new ModelFormatException(file, $"is no profile that makes sense: {fault}") : content;
    }

    /// <summary>Reads a file; null where there is none for this key that can be trusted.</summary>
    public static ProfileContent? TryRead(string file, string key)
    {
        try
        {
            return File.Exists(file) && Read(file) is { } content && content.Key == key ? content : null;
        }
        catch (ModelFormatException)
        {
            return null;
        }
    }

    private static ProfileContent Parse(JsonElement root)
    {
        var content = ProfileContent.Empty(Text(root, "key")) with
        {
            Saved = Member(root, "saved").GetDateTimeOffset(),
            Cost = root.TryGetProperty("cost", out var cost) ? ParseCost(cost) : null,
        };
        foreach (var drafter in Member(root, "acceptance").EnumerateObject())
        {
            RequireAtMost(drafter.Value, AcceptanceEstimates.CountsPerDrafter);
            List<double[]> cells = [];
            foreach (var cell in drafter.Value.EnumerateArray())
            {
                cells.Add(Numbers(cell, most: 3));
            }

            content.Acceptance[drafter.Name] = [.. cells];
        }

        foreach (var drafter in Member(root, "mixer").EnumerateObject())
        {
            content.Mixer[drafter.Name] = Numbers(drafter.Value, LogisticMixer.WeightsPerDrafter);
        }

        foreach (var drafter in Member(root, "tuning").EnumerateObject())
        {
            content.Tuning[drafter.Name] = ParseTuning(drafter.Value);
        }

        return content;
    }

    private static ProfileCost ParseCost(JsonElement cost) => new(
        Member(cost, "max_nodes").GetInt32(),
        Member(cost, "max_context").GetInt32(),
        WholeNumbers(Member(cost, "nodes")),
        WholeNumbers(Member(cost, "contexts")),
        Numbers(Member(cost, "seconds"), MaxPoints),
        Numbers(Member(cost, "spread"), MaxPoints),
        Member(cost, "measured").GetDateTimeOffset(),
        Member(cost, "rounds").GetInt64());

    private static DrafterTuning ParseTuning(JsonElement tuning)
        => new(Text(tuning, "name"), Member(tuning, "pays").GetBoolean(), OptionalInteger(tuning, "depth"), OptionalInteger(tuning, "width"))
        {
            SpeedUp = Member(tuning, "speed_up").GetDouble(),
            Rounds = Member(tuning, "rounds").GetInt32(),
            Measured = Member(tuning, "measured").GetDateTimeOffset(),
        };

    private static JsonElement Member(JsonElement element, string name)
        => element.TryGetProperty(name, out var value) ? value : throw new JsonException($"'{name}' is missing");

    private static string Text(JsonElement element, string name) => Member(element, name).GetString() ?? throw new JsonException($"'{name}' is null");

    private static int? OptionalInteger(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetInt32() : null;

    private static int[] WholeNumbers(JsonElement array)
    {
        RequireAtMost(array, MaxPoints);
        var (numbers, count) = (new int[array.GetArrayLength()], 0);
        foreach (var number in array.EnumerateArray())
        {
            numbers[count++] = number.GetInt32();
        }

        return numbers;
    }

    private static double[] Numbers(JsonElement array, int most)
    {
        RequireAtMost(array, most);
        var (numbers, count) = (new double[array.GetArrayLength()], 0);
        foreach (var number in array.EnumerateArray())
        {
            numbers[count++] = number.GetDouble();
        }

        return numbers;
    }

    /// <summary>Refuses a list before anything of it is read.</summary>
    private static void RequireAtMost(JsonElement array, int most)
    {
        if (array.GetArrayLength() > most)
        {
            throw new JsonException($"a list of {array.GetArrayLength()}; expected at most {most}");
        }
    }

    /// <summary>What is wrong with a profile's numbers; null where nothing is.</summary>
    private static string? Fault(ProfileContent content)
    {
        if (content.Cost is { } cost && !IsCurve(cost))
        {
            return "cost is no curve";
        }

        if (Math.Max(Math.Max(content.Acceptance.Count, content.Mixer.Count), content.Tuning.Count) > MaxDrafters)
        {
            return $"it has more than {MaxDrafters} drafters";
        }

        foreach (var (drafter, cells) in content.Acceptance)
        {
            if (!Array.TrueForAll(cells, IsCell))
            {
                return $"acceptance of '{drafter}'";
            }
        }

        foreach (var (drafter, weights) in content.Mixer)
        {
            if (weights.Length != LogisticMixer.WeightsPerDrafter || !AllWithin(weights, -MaxWeight, MaxWeight))
            {
                return $"mixer of '{drafter}'";
            }
        }

        foreach (var (drafter, tuning) in content.Tuning)
        {
            if (!IsTuning(tuning))
            {
                return $"tuning of '{drafter}'";
            }
        }

        return null;
    }

    private static bool IsCurve(ProfileCost cost)
        => cost.Seconds.Length <= MaxPoints && cost.Nodes.Length > 0 && cost.Contexts.Length > 0
            && (long)cost.Nodes.Length * cost.Contexts.Length == cost.Seconds.Length && cost.Spread.Length == cost.Seconds.Length
            && cost.Nodes[0] == 1 && Ascend(cost.Nodes) && cost.Contexts[0] >= 0 && Ascend(cost.Contexts)
            && AllWithin(cost.Seconds, double.Epsilon, double.MaxValue) && AllWithin(cost.Spread, 0, 1);

    private static bool Ascend(int[] values)
    {
        for (var i = 1; i < values.Length; i++)
        {
            if (values[i] <= values[i - 1])
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether all values lie between two, and so are numbers.</summary>
    private static bool AllWithin(double[] values, double least, double most)
    {
        foreach (var value in values)
        {
            if (!(value >= least && value <= most))
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsCell(double[] cell)
        => cell is [var number, var right, var all] && number >= 0 && number < AcceptanceEstimates.CountsPerDrafter && number == Math.Floor(number)
            && right >= 0 && right <= all && double.IsFinite(all);

    private static bool IsTuning(DrafterTuning tuning)
    {
        if (!(tuning.SpeedUp >= 0) || !double.IsFinite(tuning.SpeedUp) || tuning.Rounds < 0 || tuning.Depth is null != tuning.Width is null)
        {
            return false;
        }

        try
        {
            (tuning.Depth is null ? new DraftModelOptions() : new DraftModelOptions { Depth = tuning.Depth!.Value, Width = tuning.Width!.Value }).Validate();
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
