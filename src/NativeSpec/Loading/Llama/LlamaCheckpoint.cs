using NativeSpec.Tensors;

namespace NativeSpec.Loading.Llama;

/// <summary>A Llama-family checkpoint in a Hugging Face folder: configuration and every weight, found by name and checked. The weights stay
/// where they lie in the files, so opening does not read them.</summary>
public sealed class LlamaCheckpoint : IDisposable
{
    private const string HeadName = "lm_head.weight";

    private LlamaCheckpoint(LlamaConfig config, GenerationConfig generation, Checkpoint checkpoint, List<string> notes)
    {
        Generation = generation;
        Checkpoint = checkpoint;
        EosTokenIds = generation.EosTokenIds.Count == 0 ? config.EosTokenIds : [.. generation.EosTokenIds.Union(config.EosTokenIds).Order()];
        Notes = notes;

        var binder = new WeightBinder(checkpoint);
        var embedding = Table(binder, config);
        var layers = new LlamaLayerTensors[config.NumHiddenLayers];
        for (var i = 0; i < layers.Length; i++)
        {
            layers[i] = BindLayer(binder, config, $"model.layers.{i}.");
        }

        Tensors = new LlamaTensors
        {
            Embedding = embedding,
            Layers = layers,
            FinalNorm = binder.Vector("model.norm.weight", config.HiddenSize),
            LmHead = IsTied(binder, config, embedding) ? embedding : binder.Weight(HeadName, config.VocabSize, config.HiddenSize),
        };
        // A packed output matrix stands beside the embedding that it was made from, which is looked up and stays as it was.
        var differs = config.TieWordEmbeddings && !ReferenceEquals(Tensors.LmHead, embedding) && !binder.IsPacked(HeadName);
        Config = differs ? config with { TieWordEmbeddings = false } : config;
        binder.Finish(IsHarmless);
        if (differs)
        {
            notes.Add($"{checkpoint.FileOf(HeadName)}: {HeadName} differs from the embedding and is used, though config.json says \"tie_word_embeddings\": true");
        }

        if (config.Quantization is { } method)
        {
            notes.Add($"config.json: names the quantization {method}, but the weights are not quantized: left aside");
        }

        notes.AddRange(checkpoint.Notes);
        WeightBytes = binder.Bytes;
    }

    /// <summary>The shape of the model, as its configuration and its tensors give it.</summary>
    public LlamaConfig Config { get; }

    /// <summary>What <c>generation_config.json</c> recommends; without the file, nothing.</summary>
    public GenerationConfig Generation { get; }

    /// <summary>The files, and all their tensors, also those that the model itself does not use (Medusa heads).</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>What the files say that is contradicted elsewhere, left aside or never used, a sentence each: worth a look when a model does not
    /// write what it should.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The tokens that end a text: those of generation_config.json and of config.json, ascending. The tokenizer's come on top.</summary>
    public IReadOnlyList<int> EosTokenIds { get; }

    /// <summary>The weights, by name; valid until the checkpoint is disposed.</summary>
    public LlamaTensors Tensors { get; }

    /// <summary>How the matrices are stored: element by element, or packed by <c>nativespec quantize</c>.</summary>
    public WeightFormat Format => Tensors.LmHead.Format;

    /// <summary>Bytes of all weights of the model, as they are stored; a tied output matrix is counted once.</summary>
    public long WeightBytes { get; }

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">A folder with <c>config.json</c>, <c>model.safetensors</c> or its index and shards, and perhaps
    /// <c>generation_config.json</c>; or a <c>.safetensors</c> file beside its <c>config.json</c>.</param>
    /// <param name="limits">What the files may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">A file is missing or damaged, the model is not one that this engine computes, or a tensor is
    /// missing, has another shape or type than the configuration asks for, or is unknown.</exception>
    public static LlamaCheckpoint Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        var folder = ModelFolder.Of(path);
        List<string> notes = [];
        var configFile = Path.Combine(folder, "config.json");
        var config = LlamaConfigReader.Parse(configFile, ReadConfig(configFile), limits, notes);
        var generationFile = Path.Combine(folder, "generation_config.json");
        var generation = Path.Exists(generationFile)
            ? GenerationConfig.Parse(generationFile, ReadConfig(generationFile), config.VocabSize, notes)
            : new GenerationConfig();
        Checkpoint? checkpoint = null;
        try
        {
            checkpoint = Checkpoint.Open(path, limits);
            return new LlamaCheckpoint(config, generation, checkpoint, notes);
        }
        catch (ModelFormatException error) when (checkpoint is not null && config.Quantization is { } method)
        {
            checkpoint.Dispose();
            throw new ModelFormatException(error.File, $"{error.Problem} (config.json names the quantization {method}: quantized weights are not read; "
                + "take the model's files with 16-bit weights)", error);
        }
        catch
        {
            checkpoint?.Dispose();
            throw;
        }

        byte[] ReadConfig(string file) => RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes));
    }

    /// <summary>Bytes that one token takes in a KV cache of this element type.</summary>
    public long KvBytesPerToken(DType dtype) => Config.KvBytesPerToken(dtype);

    /// <summary>Releases the files. The weights must not be used any more.</summary>
    public void Dispose() => Checkpoint.Dispose();

    private static LlamaLayerTensors BindLayer(WeightBinder binder, LlamaConfig config, string layer)
    {
        var (hidden, ff) = (config.HiddenSize, config.IntermediateSize);
        var (q, kv) = ((long)config.NumAttentionHeads * config.HeadDim, (long)config.NumKeyValueHeads * config.HeadDim);
        var qkv = binder.Stacked($"{layer}self_attn.qkv_proj.weight", hidden,
            [($"{layer}self_attn.q_proj.weight", q), ($"{layer}self_attn.k_proj.weight", kv), ($"{layer}self_attn.v_proj.weight", kv)]);
        var gateUp = binder.Stacked($"{layer}mlp.gate_up_proj.weight", hidden, [($"{layer}mlp.gate_proj.weight", ff), ($"{layer}mlp.up_proj.weight", ff)]);
        return new LlamaLayerTensors
        {
            InputNorm = binder.Vector($"{layer}input_layernorm.weight", hidden),
            QProj = qkv[0],
            KProj = qkv[1],
            VProj = qkv[2],
            OProj = binder.Weight($"{layer}self_attn.o_proj.weight", hidden, q),
            QNorm = binder.Vector($"{layer}self_attn.q_norm.weight", config.HeadDim, config.QkNorm),
            KNorm = binder.Vector($"{layer}self_attn.k_norm.weight", config.HeadDim, config.QkNorm),
            QBias = binder.Vector($"{layer}self_attn.q_proj.bias", q, config.HasQkvBias),
            KBias = binder.Vector($"{layer}self_attn.k_proj.bias", kv, config.HasQkvBias),
            VBias = binder.Vector($"{layer}self_attn.v_proj.bias", kv, config.HasQkvBias),
            OBias = binder.Vector($"{layer}self_attn.o_proj.bias", hidden, config.AttentionBias),
            PostAttentionNorm = binder.Vector($"{layer}post_attention_layernorm.weight", hidden),
            GateProj = gateUp[0],
            UpProj = gateUp[1],
            DownProj = binder.Weight($"{layer}mlp.down_proj.weight", hidden, ff),
            GateBias = binder.Vector($"{layer}mlp.gate_proj.bias", ff, config.MlpBias),
            UpBias = binder.Vector($"{layer}mlp.up_proj.bias", ff, config.MlpBias),
            DownBias = binder.Vector($"{layer}mlp.down_proj.bias", hidden, config.MlpBias),
        };
    }

    // Of two names for one tensor a writer keeps one: mostly, but not always, the embedding's.
    private static TensorView Table(WeightBinder binder, LlamaConfig config)
    {
        const string Name = "model.embed_tokens.weight";
        var isHead = config.TieWordEmbeddings && !binder.Has(Name) && binder.Has(HeadName) && !binder.IsPacked(HeadName);
        var table = binder.Matrix(isHead ? HeadName : Name, config.VocabSize, config.HiddenSize);
        return isHead ? new TensorView(Name, table.DType, table.Shape, table.Data, table.ByteLength) { Memory = table.Memory } : table;
    }

    // Whatever the configuration says, a head that the file holds and that is not the embedding is used: it is what was trained.
    private static bool IsTied(WeightBinder binder, LlamaConfig config, TensorView embedding) =>
        config.TieWordEmbeddings && (!binder.Has(HeadName) || (embedding is not null && !binder.IsPacked(HeadName) && binder.IsCopy(HeadName, embedding)));

    // Old files store the rotary frequencies, which follow from the configuration; tied files may store the output matrix again; and
    // Medusa heads are extra layers on top, which change nothing below.
    private bool IsHarmless(string tensor) =>
        tensor.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)
        || tensor.StartsWith("medusa_head.", StringComparison.Ordinal)
        || (tensor == HeadName && Config.TieWordEmbeddings);
}
