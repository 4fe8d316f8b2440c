using System.Text.Json;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tokenization.Bpe;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>A checkpoint of a known model's shape with random BF16 weights, in a folder that is deleted when it is disposed: for measurements
/// of time that need an engine and no sense in the text.</summary>
internal sealed class SyntheticCheckpoint : IDisposable
{
    private const int VocabSize = 32_000, Seed = 1; // the vocabulary of all known shapes

    /// <summary>Writes the folder.</summary>
    /// <param name="shape">One of <see cref="BenchShapes.All"/>.</param>
    /// <param name="context">Most tokens of a text; null for the shape's own limit.</param>
    public SyntheticCheckpoint(string shape, int? context = null)
    {
        Path = Directory.CreateTempSubdirectory("nativespec-").FullName;
        try
        {
            var config = BenchShapes.All[shape];
            using var model = new SyntheticModel(config with { MaxPositionEmbeddings = context ?? config.MaxPositionEmbeddings }, DType.BF16, Seed);
            SafetensorsWriter.Write(File("model.safetensors"), All(model.Tensors).Select(view => SafetensorsTensor.FromView(view)));
            model.Config.Write(File("config.json"), DType.BF16);
            WriteJson("tokenizer.json", WriteTokenizer);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private static IEnumerable<TensorView> All(LlamaTensors tensors)
    {
        var layers = tensors.Layers.SelectMany(l => new[] { l.InputNorm, l.QProj, l.KProj, l.VProj, l.OProj, l.PostAttentionNorm, l.GateProj, l.UpProj, l.DownProj });
        return new[] { tensors.Embedding, tensors.FinalNorm, tensors.LmHead }.Concat(layers).Distinct();
    }

    /// <summary>A byte-level tokenizer: the first 256 tokens are the bytes, the others are names that no text is split into.</summary>
    private static void WriteTokenizer(Utf8JsonWriter json)
    {
        json.WriteString("version", "1.0");
        json.WriteStartArray("added_tokens");
        json.WriteEndArray();
        WriteByteLevel(json, "pre_tokenizer");
        WriteByteLevel(json, "decoder");
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteStartObject("vocab");
        for (var b = 0; b < 256; b++)
        {
            json.WriteNumber(ByteAlphabet.Letter((byte)b).ToString(), b);
        }

        for (var token = 256; token < VocabSize; token++)
        {
            json.WriteNumber($"token{token}", token);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, string part)
    {
        json.WriteStartObject(part);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", false);
        json.WriteEndObject();
    }

    private void WriteJson(string name, Action<Utf8JsonWriter> write)
    {
        using var stream = System.IO.File.Create(File(name));
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartObject();
        write(json);
        json.WriteEndObject();
    }

    private string File(string name) => System.IO.Path.Combine(Path, name);
}
