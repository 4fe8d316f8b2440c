using NativeSpec.Engine;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Answers;

/// <summary>How a protocol streams an answer: what it makes of the pieces of its texts.</summary>
internal interface IStreamFormat
{
    /// <summary>Before the first piece.</summary>
    void Begin(EventStream events);

    /// <summary>A piece of one of the texts; its last one has the text's result.</summary>
    void Piece(EventStream events, int choice, GenerationPiece piece);

    /// <summary>After the last piece of all texts.</summary>
    void End(EventStream events);

    /// <summary>Instead of what would follow.</summary>
    void Fail(EventStream events, ApiException error);
}
