using NativeSpec.Tokenization.Normalization;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization;

/// <summary>What every tokenizer file comes down to, whatever its format. The readers make it, <see cref="Tokenizer"/> runs it.</summary>
internal sealed class TokenizerParts
{
    /// <summary>The kind, for people.</summary>
    public required string Kind { get; init; }

    /// <summary>The file's name, for people.</summary>
    public required string FileName { get; init; }

    /// <summary>What each token adds to a text.</summary>
    public required Vocabulary Vocabulary { get; init; }

    /// <summary>The tokens that are looked for in a text, before all else or in the normalized text.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>What is done to a text first.</summary>
    public required Normalizer Normalizer { get; init; }

    /// <summary>What is done to the text of an added token that is looked for in the normalized text.</summary>
    public required Func<string, string> NormalizeAdded { get; init; }

    /// <summary>How a text is cut into pieces.</summary>
    public required PreTokenizer PreTokenizer { get; init; }

    /// <summary>How a piece becomes ids.</summary>
    public required TokenModel Model { get; init; }

    /// <summary>The tokens put before a text.</summary>
    public int[] Prefix { get; init; } = [];

    /// <summary>The tokens put after a text.</summary>
    public int[] Suffix { get; init; } = [];

    /// <summary>Whether decoding takes one space from the start of a text, because encoding put one there.</summary>
    public bool StripsLeadingSpace { get; init; }

    /// <summary>The token that begins a text.</summary>
    public int? BosId { get; init; }

    /// <summary>The tokens that end a text.</summary>
    public int[] EosIds { get; init; } = [];
}
