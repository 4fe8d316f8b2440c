using System.Text.Json;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Llama;

/// <summary>The shape of a Llama-family model, as its <c>config.json</c> gives it. Names are Hugging Face's. A configuration made in code
/// is checked by <see cref="Validate"/>; one that was read has been.</summary>
public sealed record LlamaConfig
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the feed-forward layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key and value heads; each serves NumAttentionHeads / NumKeyValueHeads query heads (GQA).</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Width of a head, even; usually but not always HiddenSize / NumAttentionHeads.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Rows of the embedding and of the logits.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Longest context, in tokens.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Added to the mean square in RMSNorm.</summary>
    public float RmsNormEps { get; init; } = 1e-5f;

    /// <summary>Base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>How the rotary frequencies are stretched; null when they are not.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>The part of each head that is rotated: its first elements.</summary>
    public double PartialRotaryFactor { get; init; } = 1;

    /// <summary>[layers] which layers are rotated; null for all.</summary>
    public IReadOnlyList<bool>? RotatedLayers { get; init; }

    /// <summary>Tokens that a token attends to at most, itself the last; null for all.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>[layers] which layers have the <see cref="SlidingWindow"/>; null for all.</summary>
    public IReadOnlyList<bool>? WindowedLayers { get; init; }

    /// <summary>What embeddings are multiplied by.</summary>
    public float EmbeddingMultiplier { get; init; } = 1;

    /// <summary>What the output of attention and feed-forward layers is multiplied by before it is added.</summary>
    public float ResidualMultiplier { get; init; } = 1;

    /// <summary>What scores are multiplied by before the softmax; null for 1/√HeadDim.</summary>
    public float? AttentionMultiplier { get; init; }

    /// <summary>What logits are divided by.</summary>
    public float LogitsScaling { get; init; } = 1;

    /// <summary>Whether the embedding is also the output matrix.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Whether the four attention projections have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether the projections to queries, keys and values have biases where the output has none.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether each head of queries and keys is normed (RMSNorm) before it is rotated.</summary>
    public bool QkNorm { get; init; }

    /// <summary>Whether the three feed-forward projections have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary><c>llama</c>, or a family that computes nearly the same: <c>mistral</c>, <c>qwen2</c>, <c>qwen3</c>, <c>granite</c>, <c>phi3</c>,
    /// <c>smollm3</c>.</summary>
    public string ModelType { get; init; } = "llama";

    /// <summary>The token that begins a text, if the configuration names one.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end a text, ascending; may be empty.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Elements of each head that are rotated.</summary>
    internal int RotaryDim => (int)(HeadDim * PartialRotaryFactor);

    /// <summary>What scores are multiplied by before the softmax.</summary>
    internal float AttentionScale => AttentionMultiplier ?? 1f / MathF.Sqrt(HeadDim);

    /// <summary>Whether queries, keys and values have biases.</summary>
    internal bool HasQkvBias => AttentionBias || QkvBias;

    /// <summary>Elements of each head that are rotated in a layer; 0 for none.</summary>
    internal int RotaryDimOf(int layer) => RotatedLayers is null || RotatedLayers[layer] ? RotaryDim : 0;

    /// <summary>Tokens that a token attends to at most in a layer; 0 for all.</summary>
    internal int WindowOf(int layer) => WindowedLayers is null || WindowedLayers[layer] ? SlidingWindow ?? 0 : 0;

    /// <summary>The quantization that the file names, for messages: whether the weights are quantized, the tensors show.</summary>
    internal string? Quantization { get; init; }

    /// <summary>Numbers in all weights; a tied output matrix is counted once.</summary>
    /// <exception cref="OverflowException">They do not fit in 64 bits.</exception>
    public long ParameterCount
    {
        get
        {
            checked
            {
                var (hidden, intermediate) = ((long)HiddenSize, (long)IntermediateSize);
                var (q, kv) = ((long)NumAttentionHeads * HeadDim, (long)NumKeyValueHeads * HeadDim);
                var attention = hidden * (2 * q + 2 * kv) + (HasQkvBias ? q + 2 * kv : 0) + (AttentionBias ? hidden : 0) + (QkNorm ? 2L * HeadDim : 0);
                var mlp = 3 * hidden * intermediate + (MlpBias ? 2 * intermediate + hidden : 0);
                var embeddings = VocabSize * hidden * (TieWordEmbeddings ? 1 : 2);
                return embeddings + NumHiddenLayers * (attention + mlp + 2 * hidden) + hidden;
            }
        }
    }

    /// <summary>Bytes of all weights in one element type.</summary>
    /// <exception cref="OverflowException">They do not fit in 64 bits.</exception>
    public long WeightBytes(DType dtype) => checked(ParameterCount * dtype.Size());

    /// <summary>Bytes that one token takes in the KV cache of all layers.</summary>
    /// <exception cref="OverflowException">They do not fit in 64 bits.</exception>
    public long KvBytesPerToken(DType dtype) => checked(2L * NumHiddenLayers * NumKeyValueHeads * HeadDim * dtype.Size());

    /// <summary>Reads and checks a <c>config.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limits">What it may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">The file cannot be read, a value is impossible, or the model computes something that this
    /// engine does not.</exception>
    public static LlamaConfig Read(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        return LlamaConfigReader.Parse(path, RegularFile.ReadAll(path, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)), limits);
    }

    /// <summary>Writes a <c>config.json</c> that <see cref="Read"/> reads back; one that exists is replaced as a whole.</summary>
    /// <param name="path">The file.</param>
    /// <param name="weights">The element type of the model's weights, which other engines read from here: F32, F16 or BF16.</param>
    /// <exception cref="ArgumentException">The element type is another, or a value is impossible.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string path, DType weights)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Validate();
        LlamaConfigWriter.Write(path, this, weights);
    }

    /// <summary>Writes the model's extents and constants as fields of a <c>config.json</c>, into an object that the writer is in: what
    /// <see cref="Read"/> reads, but for the tokens that begin and end a text.</summary>
    /// <param name="json">The writer.</param>
    public void WriteFields(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        LlamaConfigWriter.WriteFields(json, this);
    }

    /// <summary>Checks that the values fit each other and the limits.</summary>
    /// <param name="limits">The most of each; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ArgumentException">A value is impossible; the message names it.</exception>
    public void Validate(LoadLimits? limits = null)
    {
        if (FindProblem(limits ?? LoadLimits.Default) is { } problem)
        {
            throw new ArgumentException(problem);
        }
    }

    /// <summary>The first thing that is wrong, or null.</summary>
    internal string? FindProblem(LoadLimits limits) => RangeProblem(limits) ?? HeadProblem() ?? LayerProblem() ?? NumberProblem() ?? TokenProblem() ?? SizeProblem();

    private string? RangeProblem(LoadLimits limits)
    {
        (string Name, int Value, int Most)[] ranges =
        [
            ("hidden_size", HiddenSize, limits.MaxWidth),
            ("intermediate_size", IntermediateSize, limits.MaxWidth),
            ("num_hidden_layers", NumHiddenLayers, limits.MaxLayers),
            ("num_attention_heads", NumAttentionHeads, limits.MaxHeads),
            ("num_key_value_heads", NumKeyValueHeads, limits.MaxHeads),
            ("head_dim", HeadDim, limits.MaxWidth),
            ("vocab_size", VocabSize, limits.MaxVocabSize),
            ("max_position_embeddings", MaxPositionEmbeddings, limits.MaxContext),
        ];
        foreach (var (name, value, most) in ranges)
        {
            if (value < 1 || value > most)
            {
                return $"{name} is {value}; expected 1 to {most}";
            }
        }

        var width = (long)NumAttentionHeads * HeadDim;
        return width > limits.MaxWidth
            ? $"num_attention_heads {NumAttentionHeads} times head_dim {HeadDim} is {width}; expected at most {limits.MaxWidth}"
            : null;
    }

    private string? HeadProblem()
    {
        if (NumKeyValueHeads > NumAttentionHeads || NumAttentionHeads % NumKeyValueHeads != 0)
        {
            return $"num_attention_heads is {NumAttentionHeads} and num_key_value_heads {NumKeyValueHeads}; expected a multiple";
        }

        if (HeadDim % 2 != 0)
        {
            return $"head_dim is {HeadDim}; expected an even number, because rotary embeddings turn pairs";
        }

        return PartialRotaryFactor > 0 && PartialRotaryFactor <= 1 && RotaryDim >= 2 && RotaryDim % 2 == 0
            ? null
            : $"partial_rotary_factor is {PartialRotaryFactor} of head_dim {HeadDim}; expected a part of it that is an even number of elements";
    }

    private string? LayerProblem()
    {
        if (SlidingWindow < 1)
        {
            return $"sliding_window is {SlidingWindow}; expected 1 or more";
        }

        foreach (var (name, layers) in new[] { ("layer_types", WindowedLayers), ("no_rope_layers", RotatedLayers) })
        {
            if (layers is not null && layers.Count != NumHiddenLayers)
            {
                return $"{name} speaks of {layers.Count} layers; num_hidden_layers is {NumHiddenLayers}";
            }
        }

        return null;
    }

    private string? NumberProblem()
    {
        if (!(RmsNormEps > 0 && RmsNormEps <= 1))
        {
            return $"rms_norm_eps is {RmsNormEps}; expected a number above 0 and at most 1";
        }

        (string Name, float Value)[] multipliers =
        [
            ("embedding_multiplier", EmbeddingMultiplier), ("residual_multiplier", ResidualMultiplier), ("attention_multiplier", AttentionScale),
            ("logits_scaling", LogitsScaling),
        ];
        foreach (var (name, value) in multipliers)
        {
            if (!(float.IsFinite(value) && float.IsFinite(1 / value)))
            {
                return $"{name} is {value}; expected a finite number other than 0";
            }
        }

        return RopeTheta >= 1 && double.IsFinite(RopeTheta)
            ? RopeScaling?.FindProblem(RotaryDim)
            : $"rope_theta is {RopeTheta}; expected a finite number of 1 or more";
    }

    private string? TokenProblem()
    {
        foreach (var id in EosTokenIds)
        {
            if (id < 0 || id >= VocabSize)
            {
                return $"eos_token_id is {id}; expected 0 to {VocabSize - 1}";
            }
        }

        return BosTokenId is { } bos && (bos < 0 || bos >= VocabSize) ? $"bos_token_id is {bos}; expected 0 to {VocabSize - 1}" : null;
    }

    // Cannot happen within the default limits; raised limits make it possible.
    private string? SizeProblem()
    {
        try
        {
            _ = WeightBytes(DType.F32);
        }
        catch (OverflowException)
        {
            return $"the weights of {NumHiddenLayers} layers, hidden_size {HiddenSize}, intermediate_size {IntermediateSize} "
                + $"and vocab_size {VocabSize} overflow 64 bits";
        }

        try
        {
            _ = checked(KvBytesPerToken(DType.F32) * MaxPositionEmbeddings);
            return null;
        }
        catch (OverflowException)
        {
            return $"the KV cache of {NumHiddenLayers} layers, num_key_value_heads {NumKeyValueHeads}, head_dim {HeadDim} "
                + $"and max_position_embeddings {MaxPositionEmbeddings} overflows 64 bits";
        }
    }
}
