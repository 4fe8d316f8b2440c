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
