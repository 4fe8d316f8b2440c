using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Networks;

namespace NativeSpec.Training.Runs;

/// <summary>What was learnt, as Hugging Face lays models out and as Medusa lays heads out: a config.json and one safetensors file in
/// bfloat16. Each file is replaced as a whole.</summary>
internal static class ModelFiles
{
    /// <summary>Before the names of heads that lie among their model's tensors.</summary>
    public const string HeadsInModelPrefix = "medusa_head.";

    private const string ModelFile = "model.safetensors";
    private const string ConfigFile = "config.json";

    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    /// <summary>Writes a model, with heads among its parameters where there are some.</summary>
    public static void WriteModel(string folder, LlamaConfig config, IReadOnlyList<Parameter> parameters)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(Path.Combine(folder, ModelFile), ParameterFiles.ToBFloat16(parameters), Metadata);
        WriteJson(Path.Combine(folder, ConfigFile), json => WriteConfig(json, config));
    }

    /// <summary>Writes heads in Medusa's own layout.</summary>
    public static void WriteHeads(string folder, LlamaConfig model, int heads, IReadOnlyList<Parameter> parameters)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(Path.Combine(folder, MedusaCheckpoint.FileName), ParameterFiles.ToBFloat16(parameters), Metadata);
        WriteJson(Path.Combine(folder, ConfigFile), json =>
        {
            json.WriteNumber("medusa_num_heads", heads);
            json.WriteNumber("medusa_num_layers", 1);
            json.WriteNumber("hidden_size", model.HiddenSize);
            json.WriteNumber("vocab_size", model.VocabSize);
        });
    }

    /// <summary>Reads a model's file into parameters.</summary>
    public static void ReloadModel(string folder, IReadOnlyList<Parameter> parameters) => Reload(Path.Combine(folder, ModelFile), parameters);

    /// <summary>Reads a file of heads into parameters.</summary>
    public static void ReloadHeads(string folder, IReadOnlyList<Parameter> parameters)
        => Reload(Path.Combine(folder, MedusaCheckpoint.FileName), parameters);

    private static void Reload(string path, IReadOnlyList<Parameter> parameters)
    {
        using var file = SafetensorsFile.Open(path);
        ParameterFiles.Load(parameters, file.Tensors);
    }

    private static void WriteConfig(Utf8JsonWriter json, LlamaConfig config)
    {
        json.WriteStartArray("architectures");
        json.WriteStringValue("LlamaForCausalLM");
        json.WriteEndArray();
        json.WriteString("model_type", "llama");
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
        json.WriteBoolean("tie_word_embeddings", config.TieWordEmbeddings);
        json.WriteString("torch_dtype", "bfloat16");
        if (config.BosTokenId is { } bos)
        {
            json.WriteNumber("bos_token_id", bos);
        }

        if (config.EosTokenIds.Count > 0)
        {
            json.WriteNumber("eos_token_id", config.EosTokenIds[0]);
        }
    }

    private static void WriteJson(string path, Action<Utf8JsonWriter> write) => AtomicFile.Write(path, stream =>
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        write(json);
        json.WriteEndObject();
    });
}
