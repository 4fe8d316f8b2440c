using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>A request for the next turn of a conversation.</summary>
/// <param name="Text">What it has in common with others.</param>
/// <param name="Turns">The conversation.</param>
/// <param name="Format">How it is made into a prompt, with the tools that the model may call.</param>
/// <param name="SeveralCalls">Whether an answer may hold more than one call of a tool.</param>
internal sealed record ChatRequest(TextRequest Text, IReadOnlyList<ChatTurn> Turns, ChatFormat Format, bool SeveralCalls)
{
    private const int MaxTools = 128;

    /// <summary>The tools as the request has them, for protocols that repeat them.</summary>
    public IReadOnlyList<JsonElement> GivenTools { get; init; } = [];

    /// <summary>Whether the model chooses, in the protocol's word.</summary>
    public string ToolChoice { get; init; } = "auto";

    /// <summary>Reads a request for <c>/v1/chat/completions</c>.</summary>
    public static ChatRequest Read(RequestObject body, NativeSpecServerOptions server)
    {
        Unsupported.Refuse(body);
        Unsupported.RefuseForm(body.Object("response_format"));
        var tools = (body.List("tools", MaxTools) ?? Enumerable.Empty<RequestItem>()).Select(tool => Tool(RequestObject.Of(tool.Value, tool.Path))).ToArray();
        var text = TextRequest.Read(body, server, "max_completion_tokens", "max_tokens");
        var top = body.Int("top_logprobs", 0, Sampling.SamplingOptions.MaxTopLogProbs);
        var wantsLogProbs = body.Bool("logprobs") ?? false;
        if (top is not null && !wantsLogProbs)
        {
            throw ApiException.Invalid("top_logprobs", "top_logprobs needs \"logprobs\": true");
        }

        return new ChatRequest(
            text with { Options = text.Options with { TopLogProbs = wantsLogProbs ? top ?? 0 : null, Prediction = Prediction(body) } },
            ChatMessages.Read(body),
            new ChatFormat
            {
                Tools = Unsupported.MayCallTools(body, tools.Length > 0) ? tools : [],
                AddGenerationPrompt = body.Bool("add_generation_prompt") ?? true,
                Variables = Variables(body.Object("chat_template_kwargs"), body.Text("reasoning_effort")),
            },
            body.Bool("parallel_tool_calls") ?? true);
    }

    /// <summary>The template's variables; how much a model thinks is one, where its template knows it.</summary>
    public static IReadOnlyDictionary<string, JsonElement> Variables(RequestObject? given, string? effort)
    {
        Dictionary<string, JsonElement> variables = new(StringComparer.Ordinal);
        if (effort is not null)
        {
            if (effort is not ("none" or "minimal" or "low" or "medium" or "high" or "xhigh"))
            {
                throw ApiException.Invalid("reasoning_effort", "reasoning_effort is an unknown word; expected none, minimal, low, medium, high or xhigh");
            }

            variables["reasoning_effort"] = Json($"\"{effort}\"");
            variables["enable_thinking"] = Json(effort == "none" ? "false" : "true");
        }

        foreach (var member in given?.Json.EnumerateObject() ?? default)
        {
            variables[member.Name] = ChatFormat.ReservedVariables.Contains(member.Name)
                ? throw ApiException.Invalid(given!.Value.PathOf(member.Name), $"{given.Value.PathOf(member.Name)} comes from the conversation or the tokenizer, and cannot be given")
                : member.Value;
        }

        return variables;
    }

    private static JsonElement Tool(RequestObject tool)
    {
        if (tool.RequiredText("type") != "function")
        {
            throw ApiException.Unsupported(tool.PathOf("type"), $"{tool.PathOf("type")} must be \"function\": this server runs no tools of its own");
        }

        var function = tool.Object("function") ?? throw ApiException.Invalid(tool.PathOf("function"), $"{tool.PathOf("function")} is missing");
        if (function.RequiredText("name").Length is 0 or > 128)
        {
            throw ApiException.Invalid(function.PathOf("name"), $"{function.PathOf("name")} must have 1 to 128 characters");
        }

        _ = function.Text("description");
        _ = function.Object("parameters");
        return tool.Json;
    }

    /// <summary>The text that the answer is expected to be like; null for none.</summary>
    public static string? Prediction(RequestObject body)
    {
        if (body.Object("prediction") is not { } prediction)
        {
            return null;
        }

        if (prediction.RequiredText("type") != "content")
        {
            throw ApiException.Invalid("prediction.type", "prediction.type must be \"content\"");
        }

        return prediction.TryGet("content", out var content)
            ? ChatMessages.TextOf(content, "prediction.content", "text")
            : throw ApiException.Invalid("prediction.content", "prediction.content is missing");
    }

    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
