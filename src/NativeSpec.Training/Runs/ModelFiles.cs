using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;
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
        SafetensorsWriter.Write(Path.Combine(folder, ModelFile), ParameterFiles.ToBFloat16(parameters), Metadata);
        config.Write(Path.Combine(folder, ConfigFile), DType.BF16);
    }

    /// <summary>Writes heads in Medusa's own layout.</summary>
    public static void WriteHeads(string folder, LlamaConfig model, int heads, IReadOnlyList<Parameter> parameters)
    {
        SafetensorsWriter.Write(Path.Combine(folder, MedusaCheckpoint.FileName), ParameterFiles.ToBFloat16(parameters), Metadata);
        AtomicFile.Write(Path.Combine(folder, ConfigFile), stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            json.WriteStartObject();
            json.WriteNumber("medusa_num_heads", heads);
            json.WriteNumber("medusa_num_layers", 1);
            json.WriteNumber("hidden_size", model.HiddenSize);
            json.WriteNumber("vocab_size", model.VocabSize);
            json.WriteEndObject();
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
}
