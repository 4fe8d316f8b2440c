namespace NativeSpec.Server.Answers;

/// <summary>The answer to <c>/v1/models</c>.</summary>
internal sealed record ModelList(IReadOnlyList<ModelCard> Data)
{
    public string Object { get; } = "list";
}

/// <summary>A model.</summary>
/// <param name="Id">Its name in requests.</param>
/// <param name="Created">When the server began to serve it, in seconds since 1970.</param>
/// <param name="MaxModelLen">Most tokens of prompt and output together; the name is vLLM's.</param>
internal sealed record ModelCard(string Id, long Created, int MaxModelLen)
{
    public string Object { get; } = "model";

    public string OwnedBy { get; } = "nativespec";
}

/// <summary>The answer of the health endpoints.</summary>
internal sealed record Health(string Status);

/// <summary>The answer to <c>/tokenize</c> and <c>/detokenize</c>, with llama.cpp's names.</summary>
internal sealed record TokenList(IReadOnlyList<int> Tokens);

/// <summary>The same with the tokens' texts.</summary>
internal sealed record PieceList(IReadOnlyList<TokenPiece> Tokens);

/// <summary>A token and its text.</summary>
internal sealed record TokenPiece(int Id, string Piece);

/// <summary>The text of tokens.</summary>
internal sealed record TokenText(string Content);
