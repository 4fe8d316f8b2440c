namespace NativeSpec.Loading;
#pragma warning disable CS1591
public enum RopeScalingKind { Linear, Llama3 }
public sealed record RopeScaling { public RopeScalingKind Kind { get; init; } public double Factor { get; init; } public double LowFreqFactor { get; init; } public double HighFreqFactor { get; init; } public int OriginalMaxPositionEmbeddings { get; init; } }
public sealed record LlamaConfig
{
    public int HiddenSize { get; init; }
    public int IntermediateSize { get; init; }
    public int NumHiddenLayers { get; init; }
    public int NumAttentionHeads { get; init; }
    public int NumKeyValueHeads { get; init; }
    public int HeadDim { get; init; }
    public int VocabSize { get; init; }
    public int MaxPositionEmbeddings { get; init; } = 2048;
    public float RmsNormEps { get; init; } = 1e-5f;
    public double RopeTheta { get; init; } = 10000;
    public RopeScaling? RopeScaling { get; init; }
    public bool TieWordEmbeddings { get; init; }
    public bool AttentionBias { get; init; }
    public bool MlpBias { get; init; }
    public void Validate() => _ = HiddenSize;
}
