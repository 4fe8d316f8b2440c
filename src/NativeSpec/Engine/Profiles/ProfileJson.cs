using System.Text.Json;
using System.Text.Json.Serialization;
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
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    AllowDuplicateProperties = false,
    WriteIndented = true)]
[JsonSerializable(typeof(ProfileContent))]
internal sealed partial class ProfileJson : JsonSerializerContext
{
    /// <summary>The version that is written; no other is read.</summary>
    public const int Version = 6;

    private const int MaxBytes = 1 << 22;
    private const int MaxDrafters = 256;
    private const int MaxPoints = 1024;
    private const double MaxWeight = 100; // a mixer that learns by itself stays far below it

    /// <summary>The file's bytes.</summary>
    public static byte[] Render(ProfileContent content) => JsonSerializer.SerializeToUtf8Bytes(content, Default.ProfileContent);

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

            content = document.RootElement.Deserialize(Default.ProfileContent)!; // the root is an object
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
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

        return content.Acceptance.FirstOrDefault(drafter => drafter.Value is null || !drafter.Value.All(IsCell)).Key is { } acceptance ? $"acceptance of '{acceptance}'"
            : content.Mixer.FirstOrDefault(drafter => !IsMixer(drafter.Value)).Key is { } mixer ? $"mixer of '{mixer}'"
            : content.Tuning.FirstOrDefault(drafter => !IsTuning(drafter.Value)).Key is { } tuning ? $"tuning of '{tuning}'"
            : null;
    }

    private static bool IsCurve(ProfileCost cost)
        => cost.Seconds.Length <= MaxPoints && cost.Nodes.Length > 0 && cost.Contexts.Length > 0
            && (long)cost.Nodes.Length * cost.Contexts.Length == cost.Seconds.Length && cost.Spread.Length == cost.Seconds.Length
            && cost.Contexts.Select((n, i) => i == 0 ? n >= 0 : n > cost.Contexts[i - 1]).All(ascends => ascends)
            && cost.Nodes.Select((n, i) => i == 0 ? n == 1 : n > cost.Nodes[i - 1]).All(ascends => ascends)
            && cost.Seconds.All(s => s > 0 && double.IsFinite(s)) && cost.Spread.All(s => s is >= 0 and <= 1);

    private static bool IsCell(double[]? cell)
        => cell is [var number, var right, var all] && number >= 0 && number < AcceptanceEstimates.CountsPerDrafter && number == Math.Floor(number)
            && right >= 0 && right <= all && double.IsFinite(all);

    private static bool IsMixer(double[]? weights) => weights?.Length == LogisticMixer.WeightsPerDrafter && weights.All(weight => Math.Abs(weight) <= MaxWeight);

    private static bool IsTuning(DrafterTuning? tuning)
    {
        if (tuning is null || !(tuning.SpeedUp >= 0) || !double.IsFinite(tuning.SpeedUp) || tuning.Rounds < 0 || tuning.Depth is null != tuning.Width is null)
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
