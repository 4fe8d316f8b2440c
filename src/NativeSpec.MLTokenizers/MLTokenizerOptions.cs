namespace NativeSpec.MLTokenizers;

/// <summary>What a tokenizer of Microsoft.ML.Tokenizers does not say of itself.</summary>
public sealed record MLTokenizerOptions
{
    /// <summary>Control tokens beside those that the tokenizer was made with: all that the model's chat template writes must be there. Text to id.</summary>
    public IReadOnlyDictionary<string, int> SpecialTokens { get; init; } = new Dictionary<string, int>();

    /// <summary>The text of the control token that begins a text; null takes the tokenizer's own, if it names one.</summary>
    public string? BosToken { get; init; }

    /// <summary>Whether that token is put before every text; null does as the tokenizer was made to.</summary>
    public bool? AddBos { get; init; }

    /// <summary>The texts of the control tokens that end a text; null takes the tokenizer's own, or those with a usual name.</summary>
    public IReadOnlyList<string>? EosTokens { get; init; }
}
