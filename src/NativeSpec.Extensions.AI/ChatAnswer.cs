using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>One answer as updates: the parts of its text become contents.</summary>
/// <param name="request">What is answered.</param>
/// <param name="modelId">Who answers.</param>
internal sealed class ChatAnswer(ChatRequest request, string modelId)
{
    private readonly string _responseId = $"resp_{Guid.NewGuid():N}";
    private readonly string _messageId = $"msg_{Guid.NewGuid():N}";
    private readonly DateTimeOffset _createdAt = DateTimeOffset.UtcNow;
    private List<AIContent> _contents = [];
    private int _calls;

    /// <summary>Takes parts for the next update.</summary>
    public void Add(IReadOnlyList<ReplyPart> parts)
    {
        foreach (var part in parts)
        {
            if (Content(part) is { } content)
            {
                _contents.Add(content);
            }
        }
    }

    /// <summary>The next update; null while there is nothing to say.</summary>
    public ChatResponseUpdate? Next(GenerationPiece piece) => _contents.Count == 0 ? null : Update(piece);

    /// <summary>The last update.</summary>
    public ChatResponseUpdate Last(GenerationResult result, int reasoningTokens)
    {
        _contents.Add(new UsageContent(new UsageDetails
        {
            InputTokenCount = result.PromptTokens,
            OutputTokenCount = result.Ids.Count,
            TotalTokenCount = result.PromptTokens + result.Ids.Count,
            CachedInputTokenCount = result.CachedTokens,
            ReasoningTokenCount = reasoningTokens,
            AdditionalCounts = new AdditionalPropertiesDictionary<long>
            {
                [NativeSpecChatClient.DraftedTokens] = result.Speculation.Drafted,
                [NativeSpecChatClient.AcceptedTokens] = result.Speculation.Accepted,
                [NativeSpecChatClient.Rounds] = result.Timings.Rounds,
            },
        }));
        var update = Update(result);
        update.FinishReason = result.FinishReason == FinishReason.Length ? ChatFinishReason.Length : _calls > 0 ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        return update;
    }

    private AIContent? Content(ReplyPart part) => part switch
    {
        TextPart text => new TextContent(text.Text),
        ReasoningPart thought => request.ShowsReasoning ? new TextReasoningContent(thought.Text) : null,
        ToolCallPart call => _calls++ > 0 && !request.AllowsSeveralCalls ? null : Content(call),
        _ => null,
    };

    // Without its arguments a tool would do something else than was asked for: the pipeline is told not to invoke it.
    private static FunctionCallContent Content(ToolCallPart part)
    {
        var call = part.Call;
        return part.Fault is null
            ? new FunctionCallContent(call.Id!, call.Name, call.Arguments.EnumerateObject().ToDictionary(member => member.Name, object? (member) => member.Value, StringComparer.Ordinal))
            : new FunctionCallContent(call.Id!, call.Name) { Exception = new JsonException(part.Fault), InformationalOnly = true, RawRepresentation = call.Arguments };
    }

    private ChatResponseUpdate Update(object raw)
    {
        var update = new ChatResponseUpdate(ChatRole.Assistant, _contents)
        {
            ResponseId = _responseId,
            MessageId = _messageId,
            ModelId = modelId,
            CreatedAt = _createdAt,
            RawRepresentation = raw,
        };
        _contents = [];
        return update;
    }
}
