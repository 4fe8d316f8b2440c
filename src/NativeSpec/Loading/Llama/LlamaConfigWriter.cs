using System.Text.Json;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Llama;

/// <summary>Writes a <c>config.json</c> as Hugging Face spells them; <see cref="LlamaConfigReader"/> reads the same configuration
/// back.</summary>
internal static class LlamaConfigWriter
{
    /// <summary>Writes a file; the same configuration gives the same bytes.</summary>
    public static void Write(string path, LlamaConfig config, DType weights)
    {
        var torchName = TorchName(weights);
        var family = ModelFamily.Of(config.ModelType) ?? throw new ArgumentException($"model_type is '{config.ModelType}'; expected {string.Join(", ", ModelFamily.All.Select(known => known.ModelType))}", nameof(config));
        RequireSayable(config, family);
        AtomicFile.Write(path, stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue(family.Architectures[0]);
            json.WriteEndArray();
            WriteFields(json, config);
            json.WriteString("torch_dtype", torchName);
            if (config.BosTokenId is { } bos)
            {
                json.WriteNumber("bos_token_id", bos);
            }

            WriteEosTokens(json, config.EosTokenIds);
            json.WriteEndObject();
        });
    }

    /// <summary>Writes the extents and constants, without the tokens that begin and end a text.</summary>
    public static void WriteFields(Utf8JsonWriter json, LlamaConfig config)
    {
        json.WriteString("model_type", config.ModelType);
        json.WriteString("hidden_act", "silu");
        json.WriteNumber("hidden_size", config.HiddenSize);
        json.WriteNumber("intermediate_size", config.IntermediateSize);
        json.WriteNumber("num_hidden_layers", config.NumHiddenLayers);
        json.WriteNumber("num_attention_heads", config.NumAttentionHeads);
        json.WriteNumber("num_key_value_heads", config.NumKeyValueHeads);
        json.WriteNumber("head_dim", config.HeadDim);
        json.WriteNumber("vocab_size", config.VocabSize);
        json.WriteNumber("max_position_embeddings", config.MaxPositionEmbeddings);
        json.WriteNumber("rms_norm_eps", config.RmsNormEps);
        json.WriteNumber("rope_theta", config.RopeTheta);
        if (config.RopeScaling is { } scaling)
        {
            WriteRopeScaling(json, scaling);
        }

        WriteLayers(json, config, ModelFamily.Of(config.ModelType));
        WriteMultipliers(json, config);
        json.WriteBoolean("tie_word_embeddings", config.TieWordEmbeddings);
        json.WriteBoolean("attention_bias", config.AttentionBias);
        json.WriteBoolean("mlp_bias", config.MlpBias);
    }

    private static void WriteLayers(Utf8JsonWriter json, LlamaConfig config, ModelFamily? family)
    {
        if (config.PartialRotaryFactor != 1)
        {
            json.WriteNumber("partial_rotary_factor", config.PartialRotaryFactor);
        }

        if (config.SlidingWindow is { } window)
        {
            json.WriteNumber("sliding_window", window);
        }
        else if (family is { Window: WindowRule.AllLayers, MissingWindow: not null })
        {
            json.WriteNull("sliding_window");
        }

        var layers = Enumerable.Range(0, config.NumHiddenLayers);
        if (config.SlidingWindow is not null && family?.Window is WindowRule.LaterLayers or WindowRule.UnrotatedLayers)
        {
            json.WriteBoolean("use_sliding_window", true);
            json.WriteStartArray("layer_types");
            foreach (var layer in layers)
            {
                json.WriteStringValue(config.WindowOf(layer) > 0 ? "sliding_attention" : "full_attention");
            }

            json.WriteEndArray();
        }

        if (family?.Has("no_rope_layers") == true)
        {
            json.WriteStartArray("no_rope_layers");
            foreach (var layer in layers)
            {
                json.WriteNumberValue(config.RotaryDimOf(layer) > 0 ? 1 : 0);
            }

            json.WriteEndArray();
        }
    }

    private static void WriteMultipliers(Utf8JsonWriter json, LlamaConfig config)
    {
        foreach (var (name, value) in new[]
        {
            ("embedding_multiplier", config.EmbeddingMultiplier), ("residual_multiplier", config.ResidualMultiplier),
            ("attention_multiplier", config.AttentionMultiplier), ("logits_scaling", config.LogitsScaling),
        })
        {
            if (value is { } multiplier && (multiplier != 1 || name == "attention_multiplier"))
            {
                json.WriteNumber(name, multiplier);
            }
        }
    }

    // A file says a part of these by its model type alone: what it cannot say would be lost.
    private static void RequireSayable(LlamaConfig config, ModelFamily family)
    {
        (string Name, bool Said)[] settings =
        [
            ("biases of queries, keys and values alone", config.QkvBias == family.QkvBias),
            ("norms of queries and keys", config.QkNorm == family.QkNorm),
            ("attention_bias", family.AttentionBias || !config.AttentionBias),
            ("mlp_bias", family.MlpBias || !config.MlpBias),
            ("a rotated part of a head", family.Has("partial_rotary_factor") || config.PartialRotaryFactor == 1),
            ("layers without rotation", family.Has("no_rope_layers") || config.RotatedLayers is null),
            ("a sliding window", family.Window != WindowRule.None || config.SlidingWindow is null),
            ("layers with a window and others without", family.Window is WindowRule.LaterLayers or WindowRule.UnrotatedLayers || config.WindowedLayers is null),
            ("multipliers", family.Has("attention_multiplier")
                || (config.EmbeddingMultiplier, config.ResidualMultiplier, config.AttentionMultiplier, config.LogitsScaling) == (1, 1, null, 1)),
        ];
        foreach (var (name, said) in settings)
        {
            if (!said)
            {
                throw new ArgumentException($"model_type '{config.ModelType}' has other settings of {name} than this configuration", nameof(config));
            }
        }
    }

    private static void WriteRopeScaling(Utf8JsonWriter json, RopeScaling scaling)
    {
        json.WriteStartObject("rope_scaling");
        json.WriteString("rope_type", scaling.Kind.ToString().ToLowerInvariant());
        json.WriteNumber("factor", scaling.Factor);
        if (scaling.Kind != RopeScalingKind.Linear)
        {
            json.WriteNumber("original_max_position_embeddings", scaling.OriginalMaxPositionEmbeddings);
        }

        if (scaling.AttentionFactor is { } attention)
        {
            json.WriteNumber("attention_factor", attention);
        }

        switch (scaling.Kind)
        {
            case RopeScalingKind.Llama3:
                json.WriteNumber("low_freq_factor", scaling.LowFreqFactor);
                json.WriteNumber("high_freq_factor", scaling.HighFreqFactor);
                break;
            case RopeScalingKind.Yarn:
                WriteYarn(json, scaling);
                break;
            case RopeScalingKind.LongRope:
                WriteNumbers(json, "short_factor", scaling.ShortFactors);
                WriteNumbers(json, "long_factor", scaling.LongFactors);
                break;
        }

        json.WriteEndObject();
    }

    private static void WriteYarn(Utf8JsonWriter json, RopeScaling scaling)
    {
        json.WriteNumber("beta_fast", scaling.BetaFast);
        json.WriteNumber("beta_slow", scaling.BetaSlow);
        json.WriteBoolean("truncate", scaling.Truncate);
        foreach (var (name, value) in new[] { ("mscale", scaling.Mscale), ("mscale_all_dim", scaling.MscaleAllDim) })
        {
            if (value is { } scale)
            {
                json.WriteNumber(name, scale);
            }
        }
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<double> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
        {
            json.WriteNumberValue(value);
        }

        json.WriteEndArray();
    }

    // One token stands as a number, several as an array, none is left out.
    private static void WriteEosTokens(Utf8JsonWriter json, IReadOnlyList<int> tokens)
    {
        switch (tokens)
        {
            case []:
                break;
            case [var only]:
                json.WriteNumber("eos_token_id", only);
                break;
            default:
                json.WriteStartArray("eos_token_id");
                foreach (var token in tokens)
                {
                    json.WriteNumberValue(token);
                }

                json.WriteEndArray();
                break;
        }
    }

    private static string TorchName(DType weights) => weights switch
    {
        DType.F32 => "float32",
        DType.F16 => "float16",
        DType.BF16 => "bfloat16",
        _ => throw new ArgumentException($"{weights} is no element type of plain weights; expected F32, F16 or BF16", nameof(weights)),
    };
}
