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
        AtomicFile.Write(path, stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue(config.ModelType == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM");
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

        json.WriteBoolean("tie_word_embeddings", config.TieWordEmbeddings);
        json.WriteBoolean("attention_bias", config.AttentionBias);
        json.WriteBoolean("mlp_bias", config.MlpBias);
    }

    private static void WriteRopeScaling(Utf8JsonWriter json, RopeScaling scaling)
    {
        json.WriteStartObject("rope_scaling");
        json.WriteString("rope_type", scaling.Kind == RopeScalingKind.Linear ? "linear" : "llama3");
        json.WriteNumber("factor", scaling.Factor);
        if (scaling.Kind == RopeScalingKind.Llama3)
        {
            json.WriteNumber("low_freq_factor", scaling.LowFreqFactor);
            json.WriteNumber("high_freq_factor", scaling.HighFreqFactor);
            json.WriteNumber("original_max_position_embeddings", scaling.OriginalMaxPositionEmbeddings);
        }

        json.WriteEndObject();
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
