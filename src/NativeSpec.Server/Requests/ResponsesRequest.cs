using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>A request for <c>/v1/responses</c>, translated into one for a chat: nothing is kept, so what refers to earlier answers is refused.</summary>
internal static class ResponsesRequest
{
    private const int MaxItems = 16_384, MaxTools = 128;

    private static readonly (string Name, string Why)[] Stateful =
    [
        ("previous_response_id", "answers are not kept: send the conversation as input"),
        ("conversation", "conversations are not kept: send the turns as input"),
        ("prompt", "prompts are not kept: send the text as input"),
    ];

    /// <summary>Reads one.</summary>
    public static ChatRequest Read(RequestObject body, NativeSpecServerOptions server)
    {
        Unsupported.Refuse(body);
        foreach (var (name, why) in Stateful)
        {
            if (body.Has(name))
            {
                throw ApiException.Unsupported(name, $"{name} is not supported: {why}");
            }
        }

        if (body.Bool("background") ?? false)
        {
            throw ApiException.Unsupported("background", "background is not supported: an answer ends with its request");
        }

        if (body.Text("truncation") is { } truncation && truncation != "disabled")
        {
            throw ApiException.Unsupported("truncation", "truncation may only be \"disabled\": nothing is cut out of a conversation");
        }

        Unsupported.RefuseForm(body.Object("text")?.Object("format"));
        var tools = (body.List("tools", MaxTools) ?? Enumerable.Empty<RequestItem>()).Select(tool => Tool(RequestObject.Of(tool.Value, tool.Path))).ToArray();
        var text = TextRequest.Read(body, server, "max_output_tokens");
        var top = body.Int("top_logprobs", 0, Sampling.SamplingOptions.MaxTopLogProbs);
        return new ChatRequest(
            text with { Choices = 1, Options = text.Options with { TopLogProbs = top } },
            Turns(body),
            new ChatFormat
            {
                Tools = Unsupported.MayCallTools(body, tools.Length > 0) ? tools : [],
                Variables = ChatRequest.Variables(body.Object("chat_template_kwargs"), body.Object("reasoning")?.Text("effort")),
            },
            body.Bool("parallel_tool_calls") ?? true)
        {
            GivenTools = [.. (body.List("tools", MaxTools) ?? Enumerable.Empty<RequestItem>()).Select(tool => tool.Value.Clone())],
            ToolChoice = body.Has("tool_choice") ? body.RequiredText("tool_choice") : "auto", // other than words are refused
        };
    }

    private static List<ChatTurn> Turns(RequestObject body)
    {
        List<ChatTurn> turns = [];
        if (body.Text("instructions") is { } instructions)
        {
            turns.Add(new ChatTurn("system", instructions));
        }

        if (!body.TryGet("input", out var input))
        {
            throw ApiException.Invalid("input", "input is missing");
        }

        if (input.ValueKind == JsonValueKind.String)
        {
            turns.Add(new ChatTurn("user", RequestObject.TextOf(input, "input")));
            return turns;
        }

        var items = RequestObject.ListOf(input, "input", MaxItems);
        if (items.Count == 0)
        {
            throw ApiException.Invalid("input", "input is an empty list");
        }

        foreach (var item in items)
        {
            Add(turns, RequestObject.Of(item.Value, item.Path));
        }

        return turns;
    }

    private static void Add(List<ChatTurn> turns, RequestObject item)
    {
        switch (item.Text("type") ?? "message")
        {
            case "message":
                turns.Add(Message(item));
                break;
            case "function_call":
                var call = new ChatToolCall(item.RequiredText("name"), ChatMessages.Arguments(item.Text("arguments") ?? "", item.PathOf("arguments")), item.RequiredText("call_id"));
                if (turns is [.., { Role: "assistant" } last])
                {
                    turns[^1] = last with { ToolCalls = [.. last.ToolCalls, call] };
                }
                else
                {
                    turns.Add(new ChatTurn("assistant", null) { ToolCalls = [call] });
                }

                break;
            case "function_call_output":
                var output = item.TryGet("output", out var value) ? ChatMessages.TextOf(value, item.PathOf("output"), "input_text", "output_text", "text") : throw ApiException.Invalid(item.PathOf("output"), $"{item.PathOf("output")} is missing");
                turns.Add(new ChatTurn("tool", output) { ToolCallId = item.RequiredText("call_id") });
                break;
            case "reasoning":
                break; // templates cut earlier thoughts out of a conversation
            default:
                throw ApiException.Unsupported(item.PathOf("type"), $"{item.PathOf("type")} is not supported; expected message, function_call, function_call_output or reasoning");
        }
    }

    private static ChatTurn Message(RequestObject item)
    {
        var role = item.RequiredText("role");
        if (role is not ("system" or "developer" or "user" or "assistant"))
        {
            throw ApiException.Invalid(item.PathOf("role"), $"{item.PathOf("role")} is unknown; expected system, developer, user or assistant");
        }

        var content = item.TryGet("content", out var value)
            ? ChatMessages.TextOf(value, item.PathOf("content"), "input_text", "output_text", "text", "refusal")
            : throw ApiException.Invalid(item.PathOf("content"), $"{item.PathOf("content")} is missing");
        return new ChatTurn(role == "developer" ? "system" : role, content);
    }

    // Here a tool's members stand beside its type; templates know them inside of "function".
    private static JsonElement Tool(RequestObject tool)
    {
        if (tool.RequiredText("type") != "function")
        {
            throw ApiException.Unsupported(tool.PathOf("type"), $"{tool.PathOf("type")} must be \"function\": this server runs no tools of its own");
        }

        if (tool.RequiredText("name").Length is 0 or > 128)
        {
            throw ApiException.Invalid(tool.PathOf("name"), $"{tool.PathOf("name")} must have 1 to 128 characters");
        }

        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("type", "function");
            json.WriteStartObject("function");
            json.WriteString("name", tool.RequiredText("name"));
            if (tool.Text("description") is { } description)
            {
                json.WriteString("description", description);
            }

            if (tool.Object("parameters") is { } parameters)
            {
                json.WritePropertyName("parameters");
                parameters.Json.WriteTo(json);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        using var document = JsonDocument.Parse(buffer.WrittenMemory);
        return document.RootElement.Clone();
    }
}
