using NativeSpec.Tensors;

namespace NativeSpec.Loading;

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

/// <summary>The weights of one decoder layer.</summary>
public sealed record LlamaLayerTensors
{
    /// <summary><c>input_layernorm</c> [hidden].</summary>
    public required TensorView InputNorm { get; init; }

    /// <summary><c>self_attn.q_proj</c> [heads·headDim, hidden].</summary>
    public required TensorView QProj { get; init; }

    /// <summary><c>self_attn.k_proj</c> [kvHeads·headDim, hidden].</summary>
    public required TensorView KProj { get; init; }

    /// <summary><c>self_attn.v_proj</c> [kvHeads·headDim, hidden].</summary>
    public required TensorView VProj { get; init; }

    /// <summary><c>self_attn.o_proj</c> [hidden, heads·headDim].</summary>
    public required TensorView OProj { get; init; }

    /// <summary><c>post_attention_layernorm</c> [hidden].</summary>
    public required TensorView PostAttentionNorm { get; init; }

    /// <summary><c>mlp.gate_proj</c> [intermediate, hidden].</summary>
    public required TensorView GateProj { get; init; }

    /// <summary><c>mlp.up_proj</c> [intermediate, hidden].</summary>
    public required TensorView UpProj { get; init; }

    /// <summary><c>mlp.down_proj</c> [hidden, intermediate].</summary>
    public required TensorView DownProj { get; init; }

    /// <summary>Bias of q, if the model has one.</summary>
    public TensorView? QBias { get; init; }

    /// <summary>Bias of k, if the model has one.</summary>
    public TensorView? KBias { get; init; }

    /// <summary>Bias of v, if the model has one.</summary>
    public TensorView? VBias { get; init; }

    /// <summary>Bias of o, if the model has one.</summary>
    public TensorView? OBias { get; init; }

    /// <summary>Bias of gate, if the model has one.</summary>
    public TensorView? GateBias { get; init; }

    /// <summary>Bias of up, if the model has one.</summary>
    public TensorView? UpBias { get; init; }

    /// <summary>Bias of down, if the model has one.</summary>
    public TensorView? DownBias { get; init; }
}
