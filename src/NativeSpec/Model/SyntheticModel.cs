using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Model;

/// <summary>A model of given shapes with random weights from a seed: what benchmarks and tests run where no checkpoint is needed.</summary>
internal sealed class SyntheticModel : IDisposable
{
    private readonly List<IDisposable> _memory = [];

    /// <summary>Fills the weights: uniform with standard deviation 1/sqrt(inputs), so that activations keep their size; norms near one.</summary>
    /// <param name="config">The shapes.</param>
    /// <param name="dtype">F32, F16 or BF16, for matrices and norms.</param>
    /// <param name="seed">The same seed gives the same weights.</param>
    public SyntheticModel(LlamaConfig config, DType dtype, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        var next = seed;
        TensorView Matrix(string name, int rows, int columns) => Fill(name, dtype, [rows, columns], 0, 1.0 / Math.Sqrt(columns), next++);
        TensorView Norm(string name) => Fill(name, dtype, [config.HiddenSize], 1, 0.1, next++);
        TensorView? HeadNorm(string name) => config.QkNorm ? Fill(name, dtype, [config.HeadDim], 1, 0.5, next++) : null;
        TensorView? Bias(string name, int length, bool has) => has ? Fill(name, dtype, [length], 0, 0.1, next++) : null;
        int query = config.NumAttentionHeads * config.HeadDim, key = config.NumKeyValueHeads * config.HeadDim;
        int hidden = config.HiddenSize, inner = config.IntermediateSize;

        var embedding = Matrix("model.embed_tokens.weight", config.VocabSize, hidden);
        var layers = new List<LlamaLayerTensors>();
        for (var i = 0; i < config.NumHiddenLayers; i++)
        {
            var at = $"model.layers.{i}";
            layers.Add(new LlamaLayerTensors
            {
                InputNorm = Norm($"{at}.input_layernorm.weight"),
                QProj = Matrix($"{at}.self_attn.q_proj.weight", query, hidden),
                KProj = Matrix($"{at}.self_attn.k_proj.weight", key, hidden),
                VProj = Matrix($"{at}.self_attn.v_proj.weight", key, hidden),
                OProj = Matrix($"{at}.self_attn.o_proj.weight", hidden, query),
                PostAttentionNorm = Norm($"{at}.post_attention_layernorm.weight"),
                GateProj = Matrix($"{at}.mlp.gate_proj.weight", inner, hidden),
                UpProj = Matrix($"{at}.mlp.up_proj.weight", inner, hidden),
                DownProj = Matrix($"{at}.mlp.down_proj.weight", hidden, inner),
                QNorm = HeadNorm($"{at}.self_attn.q_norm.weight"),
                KNorm = HeadNorm($"{at}.self_attn.k_norm.weight"),
                QBias = Bias($"{at}.self_attn.q_proj.bias", query, config.HasQkvBias),
                KBias = Bias($"{at}.self_attn.k_proj.bias", key, config.HasQkvBias),
                VBias = Bias($"{at}.self_attn.v_proj.bias", key, config.HasQkvBias),
                OBias = Bias($"{at}.self_attn.o_proj.bias", hidden, config.AttentionBias),
                GateBias = Bias($"{at}.mlp.gate_proj.bias", inner, config.MlpBias),
                UpBias = Bias($"{at}.mlp.up_proj.bias", inner, config.MlpBias),
                DownBias = Bias($"{at}.mlp.down_proj.bias", hidden, config.MlpBias),
            });
        }

        Tensors = new LlamaTensors
        {
            Embedding = embedding,
            Layers = layers,
            FinalNorm = Norm("model.norm.weight"),
            LmHead = config.TieWordEmbeddings ? embedding : Matrix("lm_head.weight", config.VocabSize, hidden),
        };
    }

    /// <summary>The shapes.</summary>
    public LlamaConfig Config { get; }

    /// <summary>The weights, valid until the model is disposed.</summary>
    public LlamaTensors Tensors { get; }

    /// <inheritdoc/>
    public void Dispose() => _memory.ForEach(memory => memory.Dispose());

    private unsafe TensorView Fill(string name, DType dtype, ReadOnlySpan<long> shape, double center, double deviation, ulong seed)
    {
        var count = 1L;
        foreach (var extent in shape)
        {
            count = checked(count * extent);
        }

        var bytes = checked(count * dtype.Size());
        var memory = new NativeBuffer<byte>(bytes);
        _memory.Add(memory);
        var pointer = (nint)memory.Pointer;
        var amplitude = deviation * Math.Sqrt(12); // a uniform variable of width w has deviation w / sqrt(12)
        const int Slice = 1 << 20;
        Parallel.For(0, (int)((count + Slice - 1) / Slice), slice =>
        {
            for (var i = (long)slice * Slice; i < Math.Min(count, (slice + 1L) * Slice); i++)
            {
                var value = (float)(center + (amplitude * ((Mix(seed, (ulong)i) >> 40) * (1.0 / (1 << 24)) - 0.5)));
                switch (dtype)
                {
                    case DType.BF16:
                        ((ushort*)pointer)[i] = (ushort)((BitConverter.SingleToUInt32Bits(value) + 0x8000) >> 16);
                        break;
                    case DType.F16:
                        ((Half*)pointer)[i] = (Half)value;
                        break;
                    default:
                        ((float*)pointer)[i] = value;
                        break;
                }
            }
        });
        return new TensorView(name, dtype, shape, pointer, bytes) { Memory = memory };
    }

    /// <summary>SplitMix64 (Steele et al., 2014) of a seed and a counter.</summary>
    private static ulong Mix(ulong seed, ulong counter)
    {
        var z = (seed * 0xD1342543DE82EF95UL) + ((counter + 1) * 0x9E3779B97F4A7C15UL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
