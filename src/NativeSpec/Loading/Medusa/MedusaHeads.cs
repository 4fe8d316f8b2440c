using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Medusa;

/// <summary>A residual block of a Medusa head: x + SiLU(A x + b).</summary>
/// <param name="Weight">A [hidden, hidden].</param>
/// <param name="Bias">b [hidden], or null.</param>
public sealed record MedusaBlock(TensorView Weight, TensorView? Bias);

/// <summary>A Medusa head: its blocks one after the other, then its vocabulary matrix.</summary>
/// <param name="Blocks">In order; may be none.</param>
/// <param name="Vocab">W [rows, hidden], or null where the head uses the model's own output matrix.</param>
public sealed record MedusaHead(IReadOnlyList<MedusaBlock> Blocks, TensorView? Vocab);

/// <summary>Medusa heads (Cai et al., 2024): head h, counted from 0, reads the model's last hidden state after the final norm, and
/// predicts the token h + 1 places behind the one that the model's own output matrix predicts from it.</summary>
public sealed record MedusaHeads
{
    /// <summary>The file or folder that they come from, for messages.</summary>
    public required string Source { get; init; }

    /// <summary>Width of the hidden state.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>The heads, nearest token first; at least one.</summary>
    public required IReadOnlyList<MedusaHead> Heads { get; init; }

    /// <summary>Rows of the vocabulary matrices; null where the heads use the model's own.</summary>
    public int? Rows { get; init; }

    /// <summary>[rows] the token of each row, for heads over a part of the vocabulary; null where row and token are one.</summary>
    public IReadOnlyList<int>? TokenMap { get; init; }

    /// <summary>Whether all heads use one vocabulary matrix.</summary>
    public bool IsVocabShared => Heads.All(head => ReferenceEquals(head.Vocab, Heads[0].Vocab));

    /// <summary>Rows by which a vocabulary may be padded.</summary>
    private const int MostPadding = 1024;

    /// <summary>Checks that the heads belong on a model. Their rows may be others than the model's by padding, that is as long as both have one
    /// for every token; what only one of them has is not proposed.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Tokens that the model's tokenizer has.</param>
    /// <exception cref="ModelFormatException">Hidden size or vocabulary differ.</exception>
    public void RequireFit(LlamaConfig model, int tokens)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (HiddenSize != model.HiddenSize)
        {
            throw new ModelFormatException(Source, $"the heads read a hidden state of {HiddenSize}; the model's has {model.HiddenSize}: "
                + "they were trained on another model");
        }

        if (TokenMap is null && Rows is { } rows && rows != model.VocabSize
            && (rows < Math.Min(tokens, model.VocabSize) || Math.Max(rows, model.VocabSize) >= tokens + MostPadding))
        {
            throw new ModelFormatException(Source, $"the heads predict {rows} tokens and have no token_map; the model has "
                + $"{model.VocabSize} rows for {tokens} tokens: they were trained on another model");
        }

        if (TokenMap?.FirstOrDefault(token => token >= model.VocabSize) is { } outside and > 0)
        {
            throw new ModelFormatException(Source, $"token_map holds token {outside}; the model has {model.VocabSize}: the heads were "
                + "trained on another model");
        }
    }
}
