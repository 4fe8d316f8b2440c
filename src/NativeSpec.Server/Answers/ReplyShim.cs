// Stands in until the reply parts are there.
namespace NativeSpec.Chat.Replies;

internal abstract record ReplyPart;
internal sealed record TextPart(string Text) : ReplyPart;
internal sealed record ReasoningPart(string Text) : ReplyPart;
internal sealed record ToolCallPart(ChatToolCall Call, string? Fault) : ReplyPart;
internal sealed class ReplyForm
{
    public static ReplyForm TextOnly { get; } = new();
}

internal sealed class ReplyReader(ReplyForm form)
{
    public IReadOnlyList<ReplyPart> Read(string text) => form is null || text.Length == 0 ? [] : [new TextPart(text)];

    public IReadOnlyList<ReplyPart> End() => [];
}
