using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Reads in what a model's layers differ: which of them attend to a window, and which are rotated.</summary>
internal static class LayerReader
{
    /// <summary>The window in tokens, null for none, and the layers that have it, null for all.</summary>
    public static (int? Window, IReadOnlyList<bool>? Layers) ReadWindow(JsonFields config, ModelFamily family, int layers)
    {
        if (family.Window == WindowRule.None)
        {
            return default;
        }

        var window = config.Element.TryGetProperty("sliding_window", out _) ? config.Integer("sliding_window", 1) : family.MissingWindow;
        if (family.Window == WindowRule.AllLayers)
        {
            return (window, null);
        }

        // The switch of these families is off where it is missing; layer_types goes before the rule where both are there.
        var first = config.Integer("max_window_layers", 0) ?? 28;
        var types = ReadTypes(config, layers);
        bool[]? windowed = types is not null ? types
            : config.Boolean("use_sliding_window") == true ? [.. Enumerable.Range(0, layers).Select(layer => layer >= first)] : null;
        if (windowed is null || !windowed.Contains(true))
        {
            return default;
        }

        window ??= config.Element.TryGetProperty("sliding_window", out _)
            ? throw config.Error("sliding_window", "is null, but layers are said to have a window; expected its length in tokens")
            : 4096;
        return (window, OrNull(windowed));
    }

    /// <summary>Which layers are rotated; null for all. In the file 1 is a rotated one.</summary>
    public static IReadOnlyList<bool>? ReadRotated(JsonFields config, ModelFamily family, int layers)
    {
        if (!family.Has("no_rope_layers"))
        {
            return null;
        }

        if (config.Value("no_rope_layers") is not { } list)
        {
            var interval = config.Integer("no_rope_layer_interval", 1) ?? 4;
            return OrNull([.. Enumerable.Range(1, layers).Select(layer => layer % interval != 0)]);
        }

        RequireLength(config, "no_rope_layers", list, layers);
        return OrNull([.. list.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var rotated) && rotated is 0 or 1
            ? rotated == 1
            : throw config.Error("no_rope_layers", $"holds {JsonFields.Describe(item)}; expected 1 for a layer with rotation and 0 for one without"))]);
    }

    private static bool[]? OrNull(bool[] layers) => layers.Contains(false) ? layers : null;

    private static bool[]? ReadTypes(JsonFields config, int layers)
    {
        if (config.Value("layer_types") is not { } types)
        {
            return null;
        }

        RequireLength(config, "layer_types", types, layers);
        return [.. types.EnumerateArray().Select(type => type.ValueKind != JsonValueKind.String ? throw Unknown(type) : type.GetString() switch
        {
            "full_attention" => false,
            "sliding_attention" => true,
            _ => throw Unknown(type),
        })];

        ModelFormatException Unknown(JsonElement type) => config.Error("layer_types", $"holds {JsonFields.Describe(type)}; supported are full_attention and sliding_attention");
    }

    private static void RequireLength(JsonFields config, string name, JsonElement list, int layers)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() != layers)
        {
            throw config.Error(name, $"is {JsonFields.Describe(list)}; expected an array of num_hidden_layers, which is {layers}");
        }
    }
}
