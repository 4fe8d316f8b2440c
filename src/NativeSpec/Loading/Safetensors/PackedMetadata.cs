using System.Globalization;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>What the header of a file says of the packed matrices in it. docs/quantized-weights.md describes the files.</summary>
internal static class PackedMetadata
{
    private const string FormatKey = "nativespec.weights";
    private const string LayoutKey = "nativespec.layout";

    /// <summary>The entries for a file whose U8 matrices are packed.</summary>
    public static Dictionary<string, string> Of(WeightFormat format) => new()
    {
        [FormatKey] = format.ToString().ToLowerInvariant(),
        [LayoutKey] = PackedWeights.LayoutVersion.ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>The format of a file's U8 matrices; <see cref="WeightFormat.AsStored"/> where the file says nothing.</summary>
    /// <exception cref="ModelFormatException">The format or the layout is not known here.</exception>
    public static WeightFormat FormatOf(SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue(FormatKey, out var name))
        {
            return WeightFormat.AsStored;
        }

        var format = name switch { "q8" => WeightFormat.Q8, "q4" => WeightFormat.Q4, _ => throw Error(FormatKey, name, "'q8' or 'q4'") };
        file.Metadata.TryGetValue(LayoutKey, out var layout);
        return layout == PackedWeights.LayoutVersion.ToString(CultureInfo.InvariantCulture)
            ? format
            : throw Error(LayoutKey, layout ?? "", $"'{PackedWeights.LayoutVersion}': pack the weights again with nativespec quantize");

        ModelFormatException Error(string key, string value, string expected)
            => new(file.Path, $"__metadata__ {key} is {MessageText.Quote(value)}; expected {expected}");
    }
}
