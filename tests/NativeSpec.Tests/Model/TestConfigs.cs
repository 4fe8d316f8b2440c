using NativeSpec.Loading.Llama;

namespace NativeSpec.Tests.Model;

/// <summary>Small shapes that between them have everything: grouped heads, odd widths, ties, biases, scaled RoPE; and what families have besides.</summary>
public static class TestConfigs
{
    public static LlamaConfig Tiny { get; } = new()
    {
        HiddenSize = 48,
        IntermediateSize = 100,
        NumHiddenLayers = 3,
        NumAttentionHeads = 4,
        NumKeyValueHeads = 2,
        HeadDim = 12,
        VocabSize = 300,
        MaxPositionEmbeddings = 512,
        TieWordEmbeddings = true,
    };

    public static LlamaConfig Biased { get; } = Tiny with
    {
        HiddenSize = 40,
        HeadDim = 16,
        NumKeyValueHeads = 4,
        TieWordEmbeddings = false,
        AttentionBias = true,
        MlpBias = true,
        RopeScaling = new RopeScaling
        {
            Kind = RopeScalingKind.Llama3,
            Factor = 8,
            LowFreqFactor = 1,
            HighFreqFactor = 4,
            OriginalMaxPositionEmbeddings = 64,
        },
    };

    /// <summary>All that a family may have besides, at once: a window in the last two layers, one of which is not rotated, norms of q and k, a rotated
    /// part of a head, YaRN, multipliers, biases of q, k and v.</summary>
    public static LlamaConfig Mixed { get; } = Tiny with
    {
        HeadDim = 20,
        TieWordEmbeddings = false,
        QkvBias = true,
        QkNorm = true,
        PartialRotaryFactor = 0.6,
        RotatedLayers = [true, false, true],
        SlidingWindow = 21,
        WindowedLayers = [false, true, true],
        EmbeddingMultiplier = 3,
        ResidualMultiplier = 0.4f,
        AttentionMultiplier = 0.3f,
        LogitsScaling = 2,
        RopeScaling = new RopeScaling { Kind = RopeScalingKind.Yarn, Factor = 4, OriginalMaxPositionEmbeddings = 64 },
    };

    /// <summary>The same with heads of the greatest width that CUDA's kernels take.</summary>
    public static LlamaConfig Wide { get; } = Mixed with { HeadDim = 128 };

    public static LlamaConfig Named(string name) => name switch
    {
        nameof(Tiny) => Tiny,
        nameof(Biased) => Biased,
        nameof(Mixed) => Mixed,
        nameof(Wide) => Wide,
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such shape"),
    };
}
