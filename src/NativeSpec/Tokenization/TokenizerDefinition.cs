namespace NativeSpec.Tokenization;

/// <summary>A tokenizer from elsewhere: what its tokens are, and a function that encodes. <see cref="Tokenizer.Create"/> makes a
/// <see cref="Tokenizer"/> of it, which finds the control tokens, keeps untrusted text apart from them and detokenizes as it does for those it reads itself.</summary>
public sealed record TokenizerDefinition
{
    /// <summary>What people read in messages: <c>tiktoken, cl100k_base</c>.</summary>
    public required string Name { get; init; }

    /// <summary>By id, the exact bytes that each token adds to a text, which need not be whole UTF-8 sequences; empty for an id that is no token.</summary>
    public required IReadOnlyList<ReadOnlyMemory<byte>> Tokens { get; init; }

    /// <summary>Encodes a stretch of text without control tokens, which has been through <see cref="Normalize"/>, and puts nothing around it. The
    /// text may hold the text of a control token, which others wrote: then it must become ordinary tokens; anything else is refused. Called by several threads at once, with
    /// text without lone surrogates that is not empty.</summary>
    public required Func<string, IReadOnlyList<int>> Encode { get; init; }

    /// <summary>What is done to each stretch of text between control tokens before it is encoded, such as a space in front; null for nothing.</summary>
    public Func<string, string>? Normalize { get; init; }

    /// <summary>The control tokens: text to id. Their text is what they decode to where control tokens are shown.</summary>
    public IReadOnlyDictionary<string, int> SpecialTokens { get; init; } = new Dictionary<string, int>();

    /// <summary>The token that stands for text that cannot be spelled, if there is one. It may be a control token.</summary>
    public int? UnknownId { get; init; }

    /// <summary>The tokens put before a text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>The tokens put after a text.</summary>
    public IReadOnlyList<int> Suffix { get; init; } = [];

    /// <summary>The token that begins a text.</summary>
    public int? BosId { get; init; }

    /// <summary>The tokens that end a text; null takes those of <see cref="SpecialTokens"/> that have a usual name, such as <c>&lt;|endoftext|&gt;</c>.</summary>
    public IReadOnlyList<int>? EosIds { get; init; }

    /// <summary>Whether decoding takes one space from the start of a text, because encoding put one there.</summary>
    public bool StripsLeadingSpace { get; init; }
}
