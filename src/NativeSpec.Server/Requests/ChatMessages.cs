using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>Reads the messages of a chat as turns. Their text is data: none of it can become a control token.</summary>
internal static class ChatMessages
{
    private const int MaxMessages = 16_384, MaxParts = 4096, MaxCalls = 128;

    /// <summary>Reads <c>messages</c>.</summary>
    public static IReadOnlyList<ChatTurn> Read(RequestObject body)
    {
        var messages = body.List("messages", MaxMessages) ?? throw ApiException.Invalid("messages", "messages is missing");
        return messages.Count == 0
            ? throw ApiException.Invalid("messages", "messages has no message")
            : [.. messages.Select(message => Turn(RequestObject.Of(message.Value, message.Path)))];
    }

    /// <summary>Reads a text, or a list of parts that are texts.</summary>
    /// <param name="value">The text or list.</param>
    /// <param name="path">Its path.</param>
    /// <param name="kinds">The types of parts that are texts.</param>
    public static string TextOf(JsonElement value, string path, params ReadOnlySpan<string> kinds)
    {
        if (value.ValueKind == JsonValueKind.String)
        {
            return RequestObject.TextOf(value, path);
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw RequestObject.Wrong(path, value, "a text or a list of parts");
        }

        var text = new System.Text.StringBuilder();
        foreach (var item in RequestObject.ListOf(value, path, MaxParts))
        {
            var part = RequestObject.Of(item.Value, item.Path);
            var kind = part.RequiredText("type");
            text.Append(kinds.Contains(kind)
                ? part.RequiredText(kind == "refusal" ? kind : "text")
                : throw ApiException.Unsupported(part.PathOf("type"), $"{part.PathOf("type")} is '{(kind.Length <= 40 ? kind : "…")}'; the model reads text alone"));
        }

        return text.ToString();
    }

    /// <summary>A call's arguments, which are a text that holds JSON.</summary>
    public static JsonElement Arguments(string text, string path)
    {
        try
        {
            using var document = JsonDocument.Parse(string.IsNullOrWhiteSpace(text) ? "{}" : text);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : throw RequestObject.Wrong(path, document.RootElement, "a JSON object");
        }
        catch (JsonException error)
        {
            throw ApiException.Invalid(path, $"{path} is not JSON", inner: error);
        }
    }

    private static ChatTurn Turn(RequestObject message)
    {
        var role = message.RequiredText("role");
        return role switch
        {
            "system" or "user" => new ChatTurn(role, Required(message)) { Name = message.Text("name") },
            "developer" => new ChatTurn("system", Required(message)) { Name = message.Text("name") }, // the newer word of the same
            "tool" => new ChatTurn(role, Required(message)) { Name = message.Text("name"), ToolCallId = message.Text("tool_call_id") },
            "assistant" => Assistant(message),
            _ => throw ApiException.Invalid(message.PathOf("role"), $"{message.PathOf("role")} is unknown; expected system, developer, user, assistant or tool"),
        };
    }

    private static ChatTurn Assistant(RequestObject message)
    {
        ChatToolCall[] calls = [.. (message.List("tool_calls", MaxCalls) ?? Enumerable.Empty<RequestItem>()).Select(call => Call(RequestObject.Of(call.Value, call.Path)))];
        var content = message.TryGet("content", out var value) ? TextOf(value, message.PathOf("content"), "text", "refusal") : null;
        return content is null && calls.Length == 0
            ? throw ApiException.Invalid(message.PathOf("content"), $"{message.PathOf("content")} is missing, and there are no tool_calls")
            : new ChatTurn("assistant", content) { Name = message.Text("name"), Reasoning = message.Text("reasoning_content") ?? message.Text("reasoning"), ToolCalls = calls };
    }

    private static ChatToolCall Call(RequestObject call)
    {
        var function = call.Object("function") ?? throw ApiException.Invalid(call.PathOf("function"), $"{call.PathOf("function")} is missing");
        return new ChatToolCall(function.RequiredText("name"), Arguments(function.Text("arguments") ?? "", function.PathOf("arguments")), call.Text("id"));
    }

    private static string Required(RequestObject message)
        => message.TryGet("content", out var value)
            ? TextOf(value, message.PathOf("content"), "text")
            : throw ApiException.Invalid(message.PathOf("content"), $"{message.PathOf("content")} is missing");
}
