using System.Text.Json.Serialization;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Answers;

/// <summary>An answer to <c>/v1/chat/completions</c>, whole or a piece of a stream.</summary>
internal sealed record ChatCompletion(string Id, string Object, long Created, string Model, string SystemFingerprint, IReadOnlyList<ChatChoice> Choices)
{
    public const string Whole = "chat.completion", Chunk = "chat.completion.chunk";

    public Usage? Usage { get; init; }

    public Timings? Timings { get; init; }

    /// <summary>What went wrong in the middle of a stream, together with a finish reason that says so: otherwise some clients take the text for whole.</summary>
    public ErrorDetail? Error { get; init; }
}

/// <summary>One of an answer's texts: a message where the answer is whole, a delta in a stream.</summary>
internal sealed record ChatChoice(int Index)
{
    public ChatMessage? Message { get; init; }

    public ChatDelta? Delta { get; init; }

    public LogProbs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }

    public IReadOnlyList<int>? TokenIds { get; init; }
}

/// <summary>A message of an answer that is whole. Its content is there also where it only calls tools.</summary>
internal sealed record ChatMessage(
    string Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Content,
    string? ReasoningContent = null,
    IReadOnlyList<ChatToolCallJson>? ToolCalls = null);

/// <summary>A piece of a message.</summary>
internal sealed record ChatDelta
{
    public string? Role { get; init; }

    public string? Content { get; init; }

    public string? ReasoningContent { get; init; }

    public IReadOnlyList<ChatToolCallJson>? ToolCalls { get; init; }
}

/// <summary>A call of a tool. In streams it is one whole piece with its index.</summary>
internal sealed record ChatToolCallJson(int? Index, string Id, string Type, ChatFunctionJson Function);

/// <summary>The function that is called; its arguments are a text that holds JSON.</summary>
internal sealed record ChatFunctionJson(string Name, string Arguments);
