using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Chat;

namespace NativeSpec.Extensions.AI;

/// <summary>Messages as turns.</summary>
internal static class ConversationMapping
{
    // Values of every kind that tools return, without reflection where the program was compiled ahead of time; on one line, as models saw JSON.
    private static readonly JsonSerializerOptions Json = new(AIJsonUtilities.DefaultOptions) { WriteIndented = false };

    /// <summary>The turns of a conversation. Each result of a tool becomes one of its own.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="instructions">A system's turn before all others; null for none.</param>
    /// <exception cref="NotSupportedException">A message holds what is no text: images, files.</exception>
    public static IEnumerable<ChatTurn> Turns(IEnumerable<ChatMessage> messages, string? instructions)
    {
        if (!string.IsNullOrEmpty(instructions))
        {
            yield return new ChatTurn("system", instructions);
        }

        Dictionary<string, string> names = new(StringComparer.Ordinal); // of tools, by the ids of their calls
        foreach (var message in messages)
        {
            List<ChatToolCall> calls = [];
            List<ChatTurn> results = [];
            StringBuilder text = new(), thought = new();
            foreach (var content in message.Contents)
            {
                switch (content)
                {
                    case TextReasoningContent reasoning:
                        thought.Append(reasoning.Text);
                        break;
                    case TextContent part:
                        text.Append(part.Text);
                        break;
                    case FunctionCallContent call:
                        names[call.CallId] = call.Name;
                        calls.Add(new ChatToolCall(call.Name, Arguments(call), call.CallId));
                        break;
                    case FunctionResultContent result:
                        results.Add(new ChatTurn("tool", Text(result)) { ToolCallId = result.CallId, Name = names.GetValueOrDefault(result.CallId) });
                        break;
                    case UsageContent:
                        break; // an earlier answer's, which says nothing
                    default:
                        throw new NotSupportedException($"a message of the role '{message.Role}' has a {content.GetType().Name}; expected text, reasoning, and calls and results of functions");
                }
            }

            foreach (var result in results)
            {
                yield return result;
            }

            if (text.Length > 0 || calls.Count > 0 || results.Count == 0)
            {
                yield return new ChatTurn(message.Role.Value, text.Length == 0 && calls.Count > 0 ? null : text.ToString())
                {
                    Name = message.AuthorName,
                    Reasoning = thought.Length == 0 ? null : thought.ToString(),
                    ToolCalls = calls,
                };
            }
        }
    }

    private static JsonElement Arguments(FunctionCallContent call)
        => JsonSerializer.SerializeToElement(call.Arguments ?? new Dictionary<string, object?>(), Json.GetTypeInfo(typeof(IDictionary<string, object?>)));

    private static string Text(FunctionResultContent result) => result.Result switch
    {
        string text => text,
        TextContent content => content.Text,
        JsonElement { ValueKind: JsonValueKind.String } json => json.GetString()!,
        JsonElement json => json.GetRawText(),
        null when result.Exception is { } error => $"Error: {error.Message}",
        var value => JsonSerializer.Serialize(value, Json.GetTypeInfo(typeof(object))),
    };
}
