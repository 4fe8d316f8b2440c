using System.Globalization;

namespace NativeSpec.Loading.Medusa;

/// <summary>What a tensor of a Medusa checkpoint is.</summary>
internal enum MedusaPart
{
    /// <summary>Nothing known.</summary>
    None,
    BlockWeight,
    BlockBias,
    Vocab,
    SharedVocab,
    TokenMap,
}

/// <summary>A tensor's name, understood.</summary>
/// <param name="Part">What it is.</param>
/// <param name="Head">Of which head.</param>
/// <param name="Layer">Of which block. For a vocabulary matrix the number of blocks before it, −1 where the name does not say.</param>
internal readonly record struct MedusaName(MedusaPart Part, int Head = 0, int Layer = -1)
{
    /// <summary>Most heads, and most blocks of a head, that are looked for.</summary>
    public const int Most = 64;

    /// <summary>Understands the names of all known writers:
    /// <code>
    /// {h}.{l}.linear.weight|bias                  {h}.{L}.weight          Medusa; with 'medusa_head.' before it in a Medusa-2 model
    /// blocks.{h}.layers.{l}.weight|bias           lm_heads.{h}.weight     vLLM; or one lm_head.weight; perhaps token_map;
    ///                                                                     perhaps 'medusa_heads.' before it
    /// medusa_heads.{h}.medusa_layers.{l}.linear.weight|bias   medusa_heads.{h}.lm_head.weight     TensorRT-LLM
    /// </code></summary>
    public static MedusaName Parse(string name)
    {
        ReadOnlySpan<string> parts = name.Split('.');
        if (parts[0] is "medusa_head" or "medusa_heads")
        {
            parts = parts[1..];
        }

        return parts switch
        {
            [var h, var l, "linear", var what] => Block(h, l, what),
            ["blocks", var h, "layers", var l, var what] => Block(h, l, what),
            [var h, "medusa_layers", var l, "linear", var what] => Block(h, l, what),
            ["lm_heads", var h, "weight"] when Number(h) is { } head => new(MedusaPart.Vocab, head),
            [var h, "lm_head", "weight"] when Number(h) is { } head => new(MedusaPart.Vocab, head),
            [var h, var l, "weight"] when Number(h) is { } head && Number(l) is { } layer => new(MedusaPart.Vocab, head, layer),
            ["lm_head", "weight"] => new(MedusaPart.SharedVocab),
            ["token_map"] => new(MedusaPart.TokenMap),
            _ => default,
        };
    }

    private static MedusaName Block(string head, string layer, string what) => (Number(head), Number(layer), what) switch
    {
        ({ } h, { } l, "weight") => new(MedusaPart.BlockWeight, h, l),
        ({ } h, { } l, "bias") => new(MedusaPart.BlockBias, h, l),
        _ => default,
    };

    // As the writers write it: no sign, no space, no zero in front.
    private static int? Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value < Most && (text.Length == 1 || text[0] != '0')
            ? value
            : null;
}
