using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Tokenization;

namespace NativeSpec.Tests.Engine;

/// <summary>A checkpoint folder made from a seed, as a user would have it on disk: config.json, model.safetensors, tokenizer.json.</summary>
internal sealed class TestFolder : IDisposable
{
    /// <summary>A token whose embedding is not a number: a request that has it in its prompt fails, alone.</summary>
    public const int PoisonedToken = 299;

    /// <summary>What ends a text by the tokenizer, whatever the configurations name.</summary>
    public const int TokenizersEndOfText = 267;

    /// <summary>Writes the folder. The tokenizer is byte-level: ids 0 to 255 are the bytes.</summary>
    public TestFolder(ulong seed = 11, int eos = -1, int maxPositions = 512, DType dtype = DType.F32, LlamaConfig? shape = null, bool poisoned = true)
    {
        Path = Directory.CreateTempSubdirectory("nativespec-").FullName;
        var config = (shape ?? TestConfigs.Tiny) with { MaxPositionEmbeddings = maxPositions, TieWordEmbeddings = false };
        using var model = new SyntheticModel(config, dtype, seed);
        if (poisoned)
        {
            Poison(model.Tensors.Embedding, PoisonedToken);
        }

        var layers = model.Tensors.Layers.SelectMany(l => new[]
        {
            l.InputNorm, l.QProj, l.KProj, l.VProj, l.OProj, l.PostAttentionNorm, l.GateProj, l.UpProj, l.DownProj,
        });
        TensorView[] all = [model.Tensors.Embedding, .. layers, model.Tensors.FinalNorm, model.Tensors.LmHead];
        SafetensorsWriter.Write(System.IO.Path.Combine(Path, "model.safetensors"), all.Select(view => SafetensorsTensor.FromView(view)));
        File.WriteAllText(System.IO.Path.Combine(Path, "config.json"), ConfigJson(config, eos));
        TestTokenizers.WriteByteLevel(Path, config.VocabSize);
    }

    public string Path { get; }

    /// <summary>config.json of a model without biases and scaled RoPE.</summary>
    public static string ConfigJson(LlamaConfig config, int eos = -1) => $$"""
        {
          "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
          "hidden_size": {{config.HiddenSize}}, "intermediate_size": {{config.IntermediateSize}},
          "num_hidden_layers": {{config.NumHiddenLayers}}, "num_attention_heads": {{config.NumAttentionHeads}},
          "num_key_value_heads": {{config.NumKeyValueHeads}}, "head_dim": {{config.HeadDim}}, "vocab_size": {{config.VocabSize}},
          "max_position_embeddings": {{config.MaxPositionEmbeddings}}, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": {{(config.TieWordEmbeddings ? "true" : "false")}}, "eos_token_id": {{(eos < 0 ? "null" : eos)}}
        }
        """;

    /// <summary>Writes two Medusa heads of the tiny shape, of one block each; returns their file.</summary>
    public string WriteHeads()
    {
        var file = System.IO.Path.Combine(Path, "heads.safetensors");
        var (random, hidden, vocab) = (new Random(3), TestConfigs.Tiny.HiddenSize, TestConfigs.Tiny.VocabSize);
        SafetensorsWriter.Write(file, Enumerable.Range(0, 2).SelectMany(h => new[]
        {
            Tensor($"{h}.0.linear.weight", hidden, hidden), Tensor($"{h}.0.linear.bias", hidden), Tensor($"{h}.1.weight", vocab, hidden),
        }));
        return file;

        SafetensorsTensor Tensor(string name, params long[] shape)
            => SafetensorsTensor.FromFloats(name, shape, Enumerable.Range(0, (int)shape.Aggregate((a, b) => a * b)).Select(_ => (float)random.NextDouble() - 0.5f).ToArray());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private static unsafe void Poison(TensorView table, int row)
    {
        var at = row * table.Shape[1];
        if (table.DType == DType.F32)
        {
            ((float*)table.Data)[at] = float.NaN;
        }
        else
        {
            ((ushort*)table.Data)[at] = 0x7FC0; // BF16's not-a-number
        }
    }
}
