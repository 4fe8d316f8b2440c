using System.Text.Json;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Chat;

/// <summary>A turn of a conversation.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>, and whatever else the model's template knows.</param>
/// <param name="Content">What is said; null where an assistant only calls tools.</param>
public sealed record ChatTurn(string Role, string? Content)
{
    /// <summary>The speaker's name, or a tool's.</summary>
    public string? Name { get; init; }

    /// <summary>What an assistant thought before it spoke, where the model writes that apart.</summary>
    public string? Reasoning { get; init; }

    /// <summary>The tools that an assistant called.</summary>
    public IReadOnlyList<ChatToolCall> ToolCalls { get; init; } = [];

    /// <summary>The call that a tool's turn answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>Writes the turn in the form that templates know, that of OpenAI's protocol.</summary>
    /// <param name="json">Where to.</param>
    /// <param name="style">How calls of tools are given.</param>
    internal void Write(Utf8JsonWriter json, CallTurnStyle style)
    {
        json.WriteStartObject();
        json.WriteString("role", Role);
        if ((Content ?? (style.HasEmptyText && ToolCalls.Count > 0 ? "" : null)) is { } content)
        {
            json.WriteString("content", content);
        }
        else
        {
            json.WriteNull("content");
        }

        WriteOptional(json, "name", Name);
        WriteOptional(json, "reasoning_content", Reasoning);
        WriteOptional(json, "tool_call_id", ToolCallId);
        if (ToolCalls.Count > 0)
        {
            json.WriteStartArray("tool_calls");
            foreach (var call in ToolCalls)
            {
                call.Write(json, style);
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void WriteOptional(Utf8JsonWriter json, string name, string? value)
    {
        if (value is not null)
        {
            json.WriteString(name, value);
        }
    }
}

/// <summary>A call of a tool.</summary>
/// <param name="Name">The tool's name.</param>
/// <param name="Arguments">Its arguments: a JSON object.</param>
/// <param name="Id">What its answer refers to.</param>
public sealed record ChatToolCall(string Name, JsonElement Arguments, string? Id = null)
{
    internal void Write(Utf8JsonWriter json, CallTurnStyle style)
    {
        json.WriteStartObject();
        if (Id is not null)
        {
            json.WriteString("id", Id);
        }

        json.WriteString("type", "function");
        json.WriteStartObject("function");
        json.WriteString("name", Name);
        json.WritePropertyName("arguments");
        if (style.ArgumentsAsText)
        {
            json.WriteStringValue(Arguments.GetRawText());
        }
        else
        {
            Arguments.WriteTo(json);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }
}
