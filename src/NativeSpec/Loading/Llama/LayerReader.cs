using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Reads in what a model's layers differ: which of them attend to a window, and which are rotated.</summary>
internal static class LayerReader
{
    /// <summary>The window in tokens, null for none, and the layers that have it, null for all.</summary>
    public static (int? Window, IReadOnlyList<bool>? Layers) ReadWindow(JsonFields config, ModelFamily family, int layers, IReadOnlyList<bool>? rotated)
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

        var on = config.Boolean("use_sliding_window") == true && window is not null;
        var types = ReadTypes(config, layers);
        if (!on && types?.Contains(true) == true)
        {
            throw config.Error("layer_types", "holds \"sliding_attention\", but use_sliding_window is not true or sliding_window is null; expected both, or full_attention alone");
        }

        var first = config.Integer("max_window_layers", 0) ?? 28;
        bool[] windowed = types
            ?? [.. Enumerable.Range(0, layers).Select(layer => family.Window == WindowRule.LaterLayers ? layer >= first : rotated?[layer] == false)];
        return on && windowed.Contains(true) ? (window, OrNull(windowed)) : default;
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

        RequireLength(config, "no_rope_layers", list, layers, orLonger: true);
        return OrNull([.. list.EnumerateArray().Take(layers).Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var rotated) && rotated is 0 or 1
            ? rotated == 1
            : throw config.Error("no_rope_layers", $"holds {JsonText.Describe(item)}; expected 1 for a layer with rotation and 0 for one without"))]);
    }

    private static bool[]? OrNull(bool[] layers) => layers.Contains(false) ? layers : null;

    private static bool[]? ReadTypes(JsonFields config, int layers)
    {
        if (config.Value("layer_types") is not { } types)
        {
            return null;
        }

        RequireLength(config, "layer_types", types, layers, orLonger: false);
        return [.. types.EnumerateArray().Select(type => type.ValueKind != JsonValueKind.String ? throw Unknown(type) : type.GetString() switch
        {
            "full_attention" => false,
            "sliding_attention" => true,
            _ => throw Unknown(type),
        })];

        ModelFormatException Unknown(JsonElement type) => config.Error("layer_types", $"holds {JsonText.Describe(type)}; supported are full_attention and sliding_attention");
    }

    private static void RequireLength(JsonFields config, string name, JsonElement list, int layers, bool orLonger)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() < layers || (list.GetArrayLength() > layers && !orLonger))
        {
            throw config.Error(name, $"is {JsonText.Describe(list)}; expected an array of num_hidden_layers, which is {layers}");
        }
    }
}
