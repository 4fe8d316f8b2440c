using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;

namespace NativeSpec.Tests.Loading;

/// <summary>A folder that is gone when the test is.</summary>
internal sealed class TempFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("nativespec-loading-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string Write(string name, byte[] content)
    {
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public string Write(string name, string content) => Write(name, Encoding.UTF8.GetBytes(content));

    /// <summary>A named pipe that nobody writes into: to open it for reading waits for ever. Not on Windows.</summary>
    public void MakePipe(string name)
    {
        using var mkfifo = System.Diagnostics.Process.Start("mkfifo", this[name]);
        mkfifo.WaitForExit();
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>What the loading tests put into files.</summary>
internal static class LoadingTestFiles
{
    /// <summary>A safetensors file with this header, right or wrong, and data 0, 1, 2, …</summary>
    public static byte[] Safetensors(string header, int dataBytes) => Safetensors(Encoding.UTF8.GetBytes(header), dataBytes);

    public static byte[] Safetensors(byte[] header, int dataBytes, ulong? headerLength = null)
    {
        var file = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, headerLength ?? (ulong)header.Length);
        header.CopyTo(file, 8);
        for (var i = 0; i < dataBytes; i++)
        {
            file[8 + header.Length + i] = (byte)i;
        }

        return file;
    }

    /// <summary>The config.json of a model of a few hundred numbers: 2 layers, hidden 8, 4 query and 2 key heads of 2, vocabulary 10.</summary>
    public static JsonObject TinyConfig() => JsonNode.Parse("""
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,
         "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,
         "rope_theta":10000.0,"hidden_act":"silu","tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":2}
        """)!.AsObject();

    /// <summary>The tensors that a configuration asks for, all 0.5.</summary>
    public static List<SafetensorsTensor> Tensors(LlamaConfig config)
    {
        var (h, ff, v) = (config.HiddenSize, config.IntermediateSize, config.VocabSize);
        var (q, kv) = (config.NumAttentionHeads * config.HeadDim, config.NumKeyValueHeads * config.HeadDim);
        List<SafetensorsTensor> all = [Tensor("model.embed_tokens.weight", v, h), Tensor("model.norm.weight", h)];
        if (!config.TieWordEmbeddings)
        {
            all.Add(Tensor("lm_head.weight", v, h));
        }

        for (var i = 0; i < config.NumHiddenLayers; i++)
        {
            all.Add(Tensor($"model.layers.{i}.input_layernorm.weight", h));
            all.Add(Tensor($"model.layers.{i}.post_attention_layernorm.weight", h));
            foreach (var (name, rows, columns, bias) in new[]
            {
                ("self_attn.q_proj", q, h, config.HasQkvBias), ("self_attn.k_proj", kv, h, config.HasQkvBias),
                ("self_attn.v_proj", kv, h, config.HasQkvBias), ("self_attn.o_proj", h, q, config.AttentionBias),
                ("mlp.gate_proj", ff, h, config.MlpBias), ("mlp.up_proj", ff, h, config.MlpBias), ("mlp.down_proj", h, ff, config.MlpBias),
            })
            {
                all.Add(Tensor($"model.layers.{i}.{name}.weight", rows, columns));
                if (bias)
                {
                    all.Add(Tensor($"model.layers.{i}.{name}.bias", rows));
                }
            }
        }

        return all;
    }

    public static SafetensorsTensor Tensor(string name, params long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        Array.Fill(values, 0.5f);
        return SafetensorsTensor.FromFloats(name, shape, values);
    }

    /// <summary>Runs what must be refused and checks that the message holds the facts.</summary>
    public static void Refused(Action load, params string[] facts)
    {
        var error = Assert.Throws<ModelFormatException>(() => load());
        using (Assert.EnterMultipleScope())
        {
            foreach (var fact in facts)
            {
                Assert.That(error!.Message, Does.Contain(fact));
            }
        }
    }
}
