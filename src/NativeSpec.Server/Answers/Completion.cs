using System.Text.Json.Serialization;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Answers;

/// <summary>An answer to <c>/v1/completions</c>, whole or a piece of a stream.</summary>
internal sealed record Completion(string Id, long Created, string Model, string SystemFingerprint, IReadOnlyList<CompletionChoice> Choices)
{
    public string Object { get; } = "text_completion";

    public Usage? Usage { get; init; }

    public Timings? Timings { get; init; }

    /// <summary>What went wrong in the middle of a stream.</summary>
    public ErrorDetail? Error { get; init; }
}

/// <summary>One of an answer's texts.</summary>
internal sealed record CompletionChoice(int Index, string Text)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public CompletionLogProbs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }

    public IReadOnlyList<int>? TokenIds { get; init; }
}
