using NativeSpec.Tensors;

namespace NativeSpec.Loading.Llama;

/// <summary>Every weight of a Llama model under its Hugging Face name, as views of memory that somebody else owns.</summary>
public sealed record LlamaTensors
{
    /// <summary><c>model.embed_tokens</c> [vocab, hidden].</summary>
    public required TensorView Embedding { get; init; }

    /// <summary><c>model.layers.N</c>, in order.</summary>
    public required IReadOnlyList<LlamaLayerTensors> Layers { get; init; }

    /// <summary><c>model.norm</c> [hidden].</summary>
    public required TensorView FinalNorm { get; init; }

    /// <summary><c>lm_head</c> [vocab, hidden]; the embedding itself when the two are tied.</summary>
    public required TensorView LmHead { get; init; }
}

/// <summary>The weights of one decoder layer, as they lie in the checkpoint. Matrices are [out, in], row-major. With
/// hidden = HiddenSize, q = NumAttentionHeads · HeadDim, kv = NumKeyValueHeads · HeadDim, ff = IntermediateSize.</summary>
public sealed class LlamaLayerTensors
{
    /// <summary>RMSNorm before the attention, [hidden].</summary>
    public required TensorView InputNorm { get; init; }

    /// <summary>Queries, [q, hidden].</summary>
    public required TensorView QProj { get; init; }

    /// <summary>Keys, [kv, hidden].</summary>
    public required TensorView KProj { get; init; }

    /// <summary>Values, [kv, hidden].</summary>
    public required TensorView VProj { get; init; }

    /// <summary>Attention output, [hidden, q].</summary>
    public required TensorView OProj { get; init; }

    /// <summary>RMSNorm of each head of the queries, [head]; null unless <see cref="LlamaConfig.QkNorm"/>.</summary>
    public TensorView? QNorm { get; init; }

    /// <summary>RMSNorm of each head of the keys, [head]; null unless <see cref="LlamaConfig.QkNorm"/>.</summary>
    public TensorView? KNorm { get; init; }

    /// <summary>Bias of the queries, [q]; null unless <see cref="LlamaConfig.AttentionBias"/> or <see cref="LlamaConfig.QkvBias"/>.</summary>
    public required TensorView? QBias { get; init; }

    /// <summary>Bias of the keys, [kv]; null unless <see cref="LlamaConfig.AttentionBias"/> or <see cref="LlamaConfig.QkvBias"/>.</summary>
    public required TensorView? KBias { get; init; }

    /// <summary>Bias of the values, [kv]; null unless <see cref="LlamaConfig.AttentionBias"/> or <see cref="LlamaConfig.QkvBias"/>.</summary>
    public required TensorView? VBias { get; init; }

    /// <summary>Bias of the attention output, [hidden]; null unless <see cref="LlamaConfig.AttentionBias"/>.</summary>
    public required TensorView? OBias { get; init; }

    /// <summary>RMSNorm before the feed-forward layer, [hidden].</summary>
    public required TensorView PostAttentionNorm { get; init; }

    /// <summary>Gate of the feed-forward layer, [ff, hidden].</summary>
    public required TensorView GateProj { get; init; }

    /// <summary>Up projection, [ff, hidden].</summary>
    public required TensorView UpProj { get; init; }

    /// <summary>Down projection, [hidden, ff].</summary>
    public required TensorView DownProj { get; init; }

    /// <summary>Bias of the gate, [ff]; null unless <see cref="LlamaConfig.MlpBias"/>.</summary>
    public required TensorView? GateBias { get; init; }

    /// <summary>Bias of the up projection, [ff]; null unless <see cref="LlamaConfig.MlpBias"/>.</summary>
    public required TensorView? UpBias { get; init; }

    /// <summary>Bias of the down projection, [hidden]; null unless <see cref="LlamaConfig.MlpBias"/>.</summary>
    public required TensorView? DownBias { get; init; }

    /// <summary>The matrices, in the order of a forward; those of q·k·v and of gate·up, which are multiplied with together, are neighbours.</summary>
    internal TensorView[] Matrices => [QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj];
}
