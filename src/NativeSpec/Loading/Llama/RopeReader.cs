namespace NativeSpec.Loading.Llama;

/// <summary>Reads the rotary embedding of a configuration: <c>rope_theta</c> and <c>rope_scaling</c>, or transformers 5's
/// <c>rope_parameters</c>, which holds both. The kind is <c>rope_type</c>, in old files <c>type</c>.</summary>
internal static class RopeReader
{
    private static readonly string[] CommonKeys = ["rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned"];
    private static readonly string[] LinearKeys = ["factor"];
    private static readonly string[] Llama3Keys = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];

    /// <summary>The base (10000, as in Llama 2, when the file has none) and the scaling.</summary>
    public static (double Theta, RopeScaling? Scaling) Read(JsonFields config)
    {
        var theta = config.Number("rope_theta");
        RopeScaling? scaling = null;
        var seen = false;
        foreach (var key in new[] { "rope_scaling", "rope_parameters" })
        {
            if (config.Object(key) is not { } rope)
            {
                continue;
            }

            var inner = rope.Number("rope_theta");
            if (inner is not null && theta is not null && inner != theta)
            {
                throw rope.Error("rope_theta", $"is {inner}, but elsewhere in the file it is {theta}");
            }

            theta ??= inner;
            var here = ReadScaling(rope);
            if (seen && here != scaling)
            {
                throw config.Error(key, "says something else than rope_scaling");
            }

            (scaling, seen) = (here, true);
        }

        return (theta ?? 10_000, scaling);
    }

    private static RopeScaling? ReadScaling(JsonFields rope)
    {
        var kind = rope.Text("rope_type");
        var oldKind = rope.Text("type");
        if (kind is not null && oldKind is not null && kind != oldKind)
        {
            throw rope.Error("type", $"is {MessageText.Quote(oldKind)}, but rope_type is {MessageText.Quote(kind)}");
        }

        switch (kind ?? oldKind ?? "default")
        {
            case "default":
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
                    OriginalMaxPositionEmbeddings = rope.RequiredInteger("original_max_position_embeddings", 1, int.MaxValue),
                };
            case var unknown:
                throw rope.Error(kind is null ? "type" : "rope_type", $"is {MessageText.Quote(unknown)}; supported are default, linear and llama3");
        }
    }

    private static double Required(JsonFields rope, string name) =>
        rope.Number(name) ?? throw rope.Error(name, "is missing; expected a number");

    // Whatever stands here turns the queries and keys, so a key that is not understood is not ignored.
    private static void CheckKeys(JsonFields rope, string[] known)
    {
        foreach (var member in rope.Element.EnumerateObject())
        {
            if (!known.Contains(member.Name) && !CommonKeys.Contains(member.Name) && rope.Value(member.Name) is { } value)
            {
                throw rope.Error(member.Name, $"is {JsonFields.Describe(value)}; this setting is not known for its rope_type");
            }
        }

        if (rope.Number("partial_rotary_factor") is { } part && part != 1)
        {
            throw rope.Error("partial_rotary_factor", $"is {part}; only whole heads are rotated (1)");
        }
    }
}
