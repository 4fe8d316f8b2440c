namespace NativeSpec.Chat.Replies;

/// <summary>A part of an answer.</summary>
public abstract record ReplyPart
{
    private protected ReplyPart()
    {
    }
}

/// <summary>Text for whoever asked. Parts that follow each other are one text.</summary>
/// <param name="Text">Some characters of it, at least one.</param>
public sealed record TextPart(string Text) : ReplyPart;

/// <summary>What the model thought before it spoke, without the markers around it. Parts that follow each other are one thought.</summary>
/// <param name="Text">Some characters of it, at least one.</param>
public sealed record ReasoningPart(string Text) : ReplyPart;

/// <summary>A call of a tool, whole.</summary>
/// <param name="Call">The call, with an <see cref="ChatToolCall.Id"/> of its own. Where its arguments cannot be read they are what was written: the value that is no
/// object, or the whole text of the call as a JSON string.</param>
/// <param name="Fault">What is wrong with the arguments; null where nothing is.</param>
public sealed record ToolCallPart(ChatToolCall Call, string? Fault) : ReplyPart;
