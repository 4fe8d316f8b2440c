using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeSpec.Server.Answers;

/// <summary>An answer to <c>/v1/responses</c>.</summary>
internal sealed record Response(string Id, long CreatedAt, string Model, string Status, IReadOnlyList<OutputItem> Output)
{
    public const string Completed = "completed", Incomplete = "incomplete", InProgress = "in_progress", Failed = "failed";

    public string Object { get; } = "response";

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ResponseError? Error { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IncompleteDetails? IncompleteDetails { get; init; }

    public float? Temperature { get; init; }

    public float? TopP { get; init; }

    public int? MaxOutputTokens { get; init; }

    public bool ParallelToolCalls { get; init; }

    public bool Store { get; }

    public string ToolChoice { get; init; } = "auto";

    /// <summary>The tools as they were given.</summary>
    public IReadOnlyList<JsonElement> Tools { get; init; } = [];

    public string Truncation { get; } = "disabled";

    public ResponseUsage? Usage { get; init; }

    public Timings? Timings { get; init; }
}

/// <summary>Why an answer has failed.</summary>
internal sealed record ResponseError(string Code, string Message);

/// <summary>Why an answer is not whole.</summary>
internal sealed record IncompleteDetails(string Reason);

/// <summary>What an answer took, in this protocol's words.</summary>
internal sealed record ResponseUsage(int InputTokens, PromptDetails InputTokensDetails, int OutputTokens, OutputDetails OutputTokensDetails, int TotalTokens)
{
    public static ResponseUsage Of(Usage usage)
        => new(usage.PromptTokens, usage.PromptTokensDetails, usage.CompletionTokens, new OutputDetails(usage.CompletionTokensDetails.ReasoningTokens), usage.TotalTokens);
}

/// <summary>Of the text's tokens, thoughts.</summary>
internal sealed record OutputDetails(int ReasoningTokens);

/// <summary>A part of an answer: a message, a call of a function, a thought.</summary>
internal sealed record OutputItem(string Id, string Type, string Status)
{
    public string? Role { get; init; }

    public IReadOnlyList<OutputContent>? Content { get; init; }

    public IReadOnlyList<string>? Summary { get; init; }

    public string? CallId { get; init; }

    public string? Name { get; init; }

    public string? Arguments { get; init; }
}

/// <summary>Text of a message or a thought.</summary>
internal sealed record OutputContent(string Type, string Text)
{
    public IReadOnlyList<string>? Annotations { get; init; }

    public IReadOnlyList<TokenLogProb>? Logprobs { get; init; }
}

/// <summary>An event of a stream.</summary>
internal sealed record ResponseEvent(string Type)
{
    public int SequenceNumber { get; init; }

    public Response? Response { get; init; }

    public int? OutputIndex { get; init; }

    public int? ContentIndex { get; init; }

    public string? ItemId { get; init; }

    public OutputItem? Item { get; init; }

    public OutputContent? Part { get; init; }

    public string? Delta { get; init; }

    public string? Text { get; init; }

    public string? Name { get; init; }

    public string? Arguments { get; init; }

    public IReadOnlyList<TokenLogProb>? Logprobs { get; init; }
}
