using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Reads the rotary embedding of a configuration: <c>rope_theta</c> and <c>rope_scaling</c>, or transformers 5's
/// <c>rope_parameters</c>, which holds both. The kind is <c>rope_type</c>, in old files <c>type</c>.</summary>
internal static class RopeReader
{
    private static readonly string[] CommonKeys = ["rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned"];
    private static readonly string[] LinearKeys = ["factor"];
    private static readonly string[] Llama3Keys = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];

    /// <summary>The base (10000, as in Llama 2, when the file has none) and the scaling. Where the file says both twice, it is as in transformers:
    /// the old name rope_scaling comes before rope_parameters, and a rope_theta inside of them before the one outside, which is stale.</summary>
    public static (double Theta, RopeScaling? Scaling) Read(JsonFields config)
    {
        var (old, now) = (NotEmpty(config, "rope_scaling"), NotEmpty(config, "rope_parameters"));
        var rope = old ?? now;
        var scaling = rope is { } here ? ReadScaling(config, here) : null;
        if (old is not null && now is { } other && ReadScaling(config, other) != scaling)
        {
            config.Note("rope_parameters", "says something else than rope_scaling, which counts");
        }

        var (inside, outside) = (rope?.Number("rope_theta"), config.Number("rope_theta"));
        if (inside is not null && outside is not null && inside != outside)
        {
            config.Note("rope_theta", FormattableString.Invariant($"is {outside}, but {inside} inside of the rope's own settings, which counts"));
        }

        return (inside ?? outside ?? now?.Number("rope_theta") ?? 10_000, scaling);
    }

    private static JsonFields? NotEmpty(JsonFields config, string name) =>
        config.Object(name) is { } rope && rope.Element.GetPropertyCount() > 0 ? rope : null;

    private static RopeScaling? ReadScaling(JsonFields config, JsonFields rope)
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
            case var unknown:
                throw rope.Error(kind is null ? "type" : "rope_type", $"is {MessageText.Quote(unknown)}; supported are default, linear and llama3");
        }
    }

    private static double Required(JsonFields rope, string name) =>
        rope.Number(name) ?? throw rope.Error(name, "is missing; expected a number");

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

        if (rope.Number("partial_rotary_factor") is { } part && part != 1)
        {
            throw rope.Error("partial_rotary_factor", $"is {part}; only whole heads are rotated (1)");
        }
    }
}
