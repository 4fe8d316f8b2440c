using NativeSpec.Loading.Llama;

namespace NativeSpec.Tests.Model;

/// <summary>Small shapes that between them have everything: grouped heads, odd widths, ties, biases, scaled RoPE.</summary>
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
}
