using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>The rotation of a model.</summary>
/// <param name="Theta">The base of the frequencies.</param>
/// <param name="PartialRotaryFactor">The part of a head that is rotated.</param>
/// <param name="Scaling">How the frequencies are stretched; null when they are not.</param>
internal readonly record struct RopeSettings(double Theta, double PartialRotaryFactor, RopeScaling? Scaling);

/// <summary>Reads the rotary embedding of a configuration: <c>rope_theta</c> and <c>rope_scaling</c>, or transformers 5's
/// <c>rope_parameters</c>, which holds both. The kind is <c>rope_type</c>, in old files <c>type</c>.</summary>
internal static class RopeReader
{
    private static readonly string[] CommonKeys = ["rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned"];
    private static readonly string[] LinearKeys = ["factor"];
    private static readonly string[] Llama3Keys = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];
    private static readonly string[] YarnKeys =
        ["factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "attention_factor", "truncate"];
    private static readonly string[] LongRopeKeys = ["factor", "original_max_position_embeddings", "short_factor", "long_factor", "attention_factor"];

    /// <summary>Reads the base (the family's when the file has none), the rotated part and the scaling. Where the file says something twice, it is
    /// as in transformers: the old name rope_scaling comes before rope_parameters, and a rope_theta inside of them before the one outside, which is
    /// stale.</summary>
    public static RopeSettings Read(JsonFields config, ModelFamily family, int context)
    {
        var (old, now) = (NotEmpty(config, "rope_scaling"), NotEmpty(config, "rope_parameters"));
        var rope = old ?? now;
        var scaling = rope is { } here ? ReadScaling(config, here, family, context) : null;
        if (old is not null && now is { } other && ReadScaling(config, other, family, context) != scaling)
        {
            config.Note("rope_parameters", "says something else than rope_scaling, which counts");
        }

        var (inside, outside) = (rope?.Number("rope_theta"), config.Number("rope_theta"));
        if (inside is not null && outside is not null && inside != outside)
        {
            config.Note("rope_theta", FormattableString.Invariant($"is {outside}, but {inside} inside of the rope's own settings, which counts"));
        }

        var theta = inside ?? outside ?? now?.Number("rope_theta") ?? family.RopeTheta;
        var part = ReadPart(old, family) ?? ReadPart(now, family) ?? config.Number("partial_rotary_factor") ?? 1;
        return new RopeSettings(theta, part, scaling);
    }

    private static JsonFields? NotEmpty(JsonFields config, string name) =>
        config.Object(name) is { } rope && rope.Element.GetPropertyCount() > 0 ? rope : null;

    private static RopeScaling? ReadScaling(JsonFields config, JsonFields rope, ModelFamily family, int context)
    {
        var kind = rope.Text("rope_type");
        var oldKind = rope.Text("type");
        if (kind is not null && oldKind is not null && kind != oldKind)
        {
            rope.Note("type", $"is {MessageText.Quote(oldKind)}, but rope_type is {MessageText.Quote(kind)}, which counts");
        }

        switch (kind ?? oldKind ?? "default")
        {
            case "default":
                if ((kind ?? oldKind) is null && rope.Number("factor") is { } factor && factor != 1)
                {
                    throw rope.Error("factor", FormattableString.Invariant($"is {factor}, but rope_type, which says what it means, is missing"));
                }

                CheckKeys(rope, []);
                return null;
            case "linear":
                CheckKeys(rope, LinearKeys);
                return new RopeScaling { Kind = RopeScalingKind.Linear, Factor = Required(rope, "factor") };
            case "llama3":
                CheckKeys(rope, Llama3Keys);
                return new RopeScaling
                {
                    Kind = RopeScalingKind.Llama3,
                    Factor = Required(rope, "factor"),
                    LowFreqFactor = Required(rope, "low_freq_factor"),
                    HighFreqFactor = Required(rope, "high_freq_factor"),
                    OriginalMaxPositionEmbeddings = config.Integer("original_max_position_embeddings", 1, int.MaxValue)
                        ?? rope.RequiredInteger("original_max_position_embeddings", 1, int.MaxValue),
                };
            // Phi-3's first names for longrope.
            case "longrope" or "su":
            case "yarn" when family.ModelType == "phi3":
                CheckKeys(rope, LongRopeKeys);
                return LongRope(config, rope, context);
            case "yarn":
                CheckKeys(rope, YarnKeys);
                return Yarn(rope, context);
            case "dynamic":
                throw rope.Error(kind is null ? "type" : "rope_type",
                    "is 'dynamic', which rotates a token by how long the text was when it was read: the same text would give other values in other parts; supported are default, linear, llama3, yarn and longrope");
            case var unknown:
                throw rope.Error(kind is null ? "type" : "rope_type", $"is {MessageText.Quote(unknown)}; supported are default, linear, llama3, yarn and longrope");
        }
    }

    private static RopeScaling Yarn(JsonFields rope, int context) => new()
    {
        Kind = RopeScalingKind.Yarn,
        Factor = Required(rope, "factor"),
        OriginalMaxPositionEmbeddings = rope.Integer("original_max_position_embeddings", 1) ?? context,
        BetaFast = rope.Number("beta_fast") ?? 32,
        BetaSlow = rope.Number("beta_slow") ?? 1,
        Mscale = rope.Number("mscale"),
        MscaleAllDim = rope.Number("mscale_all_dim"),
        AttentionFactor = rope.Number("attention_factor"),
        Truncate = rope.Boolean("truncate") ?? true,
    };

    // The original context stands beside the dictionary in published files, inside it since transformers 5.
    private static RopeScaling LongRope(JsonFields config, JsonFields rope, int context)
    {
        var original = rope.Integer("original_max_position_embeddings", 1) ?? config.Integer("original_max_position_embeddings", 1) ?? context;
        return new RopeScaling
        {
            Kind = RopeScalingKind.LongRope,
            Factor = rope.Number("factor") ?? Math.Max(1, (double)context / original),
            OriginalMaxPositionEmbeddings = original,
            AttentionFactor = rope.Number("attention_factor"),
            ShortFactors = Numbers(rope, "short_factor"),
            LongFactors = Numbers(rope, "long_factor"),
        };
    }

    private static double Required(JsonFields rope, string name) =>
        rope.Number(name) ?? throw rope.Error(name, "is missing; expected a number");

    private static double[] Numbers(JsonFields rope, string name)
    {
        if (rope.Value(name) is not { ValueKind: JsonValueKind.Array } list)
        {
            throw rope.Error(name, $"is {(rope.Value(name) is { } value ? JsonText.Describe(value) : "missing")}; expected an array of numbers");
        }

        return [.. list.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out var number)
            ? number
            : throw rope.Error(name, $"holds {JsonText.Describe(item)}; expected numbers"))];
    }

    private static double? ReadPart(JsonFields? rope, ModelFamily family)
    {
        var part = rope?.Number("partial_rotary_factor");
        return part is null or 1 || family.Has("partial_rotary_factor")
            ? part
            : throw rope!.Value.Error("partial_rotary_factor", $"is {part}; only whole heads are rotated (1) where model_type is {family.ModelType}");
    }

    // A number or list that the kind does not use is left aside, as everywhere; settings inside of settings are those of single kinds of layers.
    private static void CheckKeys(JsonFields rope, string[] known)
    {
        foreach (var member in rope.Element.EnumerateObject())
        {
            if (known.Contains(member.Name) || CommonKeys.Contains(member.Name) || rope.Value(member.Name) is not { } value)
            {
                continue;
            }

            if (value.ValueKind == JsonValueKind.Object)
            {
                throw rope.Error(member.Name, "is an object; rotary embeddings that differ from layer to layer are not supported");
            }

            rope.Note(member.Name, $"is {JsonText.Describe(value)}, which its rope_type does not use: left aside");
        }
    }
}
