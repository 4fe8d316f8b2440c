namespace NativeSpec.Tokenization;

/// <summary>What turns a piece of text into tokens: BPE or Unigram.</summary>
internal abstract class TokenModel
{
    /// <summary>An encoder over this model, for one call.</summary>
    public abstract PieceEncoder CreateEncoder();
}

/// <summary>Encodes pieces with a model; for one thread at a time.</summary>
internal abstract class PieceEncoder
{
    /// <summary>Appends the ids of a piece.</summary>
    public abstract void Encode(ReadOnlySpan<char> piece, List<int> ids);

    /// <summary>Appends a token that was found in the text as it stands.</summary>
    public virtual void Add(int id, ReadOnlySpan<char> text, List<int> ids) => ids.Add(id);
}
