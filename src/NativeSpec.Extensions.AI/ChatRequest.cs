using System.Buffers;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Chat;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>A request in the engine's words.</summary>
/// <param name="Turns">The conversation.</param>
/// <param name="Options">How to write.</param>
/// <param name="Format">How the conversation becomes a prompt.</param>
/// <param name="AllowsSeveralCalls">Whether an answer may call several tools.</param>
/// <param name="ShowsReasoning">Whether thoughts are part of the answer.</param>
internal sealed record ChatRequest(IReadOnlyList<ChatTurn> Turns, GenerationOptions Options, ChatFormat Format, bool AllowsSeveralCalls, bool ShowsReasoning)
{
    /// <summary>Reads a request; refuses by name what cannot be done.</summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">The options, which are not changed.</param>
    /// <param name="client">Who asks the options for a representation of their own.</param>
    /// <param name="modelId">The only model that there is.</param>
    public static ChatRequest From(IEnumerable<ChatMessage> messages, ChatOptions options, IChatClient client, string modelId)
    {
        if (options.ModelId is not null && options.ModelId != modelId)
        {
            throw new ArgumentException($"{nameof(ChatOptions)}.{nameof(options.ModelId)} is '{options.ModelId}'; this client has the model '{modelId}'", nameof(options));
        }

        if (options.ConversationId is not null)
        {
            throw Refused(nameof(options.ConversationId), "no conversation is kept between calls: give all its messages and leave this null");
        }

        if (options.ContinuationToken is not null)
        {
            throw Refused(nameof(options.ContinuationToken), "there are no background responses");
        }

        if (options.ResponseFormat is not (null or ChatResponseFormatText))
        {
            throw Refused(nameof(options.ResponseFormat), "JSON cannot be guaranteed without a grammar, which this version has not; ask for it in the prompt and leave this null");
        }

        if (options.ToolMode is RequiredChatToolMode)
        {
            throw Refused(nameof(options.ToolMode), "a call cannot be guaranteed without a grammar, which this version has not; expected Auto or None");
        }

        if (options.Reasoning?.Output == ReasoningOutput.Summary)
        {
            throw Refused($"{nameof(options.Reasoning)}.{nameof(ReasoningOptions.Output)}", "nobody summarises thoughts; expected None or Full");
        }

        var format = new ChatFormat
        {
            Tools = options.ToolMode is NoneChatToolMode ? [] : [.. (options.Tools ?? []).Select(Describe)],
            Variables = Variables(options.Reasoning),
        };
        return new ChatRequest(
            [.. ConversationMapping.Turns(messages, options.Instructions)],
            Generation(options, client),
            format,
            options.AllowMultipleToolCalls ?? true,
            options.Reasoning?.Output is not ReasoningOutput.None);
    }

    private static GenerationOptions Generation(ChatOptions options, IChatClient client)
    {
        Require(options.Temperature is null or (>= 0 and <= float.MaxValue), nameof(options.Temperature), options.Temperature, "a finite number of 0 or more");
        Require(options.TopP is null or (>= 0 and <= 1), nameof(options.TopP), options.TopP, "0 to 1");
        Require(options.TopK is null or >= 0, nameof(options.TopK), options.TopK, "0 or more");
        Require(options.MaxOutputTokens is null or >= 1, nameof(options.MaxOutputTokens), options.MaxOutputTokens, "1 or more");
        Require(options.FrequencyPenalty is null or (>= -2 and <= 2), nameof(options.FrequencyPenalty), options.FrequencyPenalty, "-2 to 2");
        Require(options.PresencePenalty is null or (>= -2 and <= 2), nameof(options.PresencePenalty), options.PresencePenalty, "-2 to 2");
        if (options.StopSequences?.Any(string.IsNullOrEmpty) == true)
        {
            throw new ArgumentException($"{nameof(ChatOptions)}.{nameof(options.StopSequences)} has an empty text", nameof(options));
        }

        var raw = options.RawRepresentationFactory?.Invoke(client);
        var own = raw switch
        {
            null => new GenerationOptions(),
            GenerationOptions given => given,
            _ => throw Refused(nameof(options.RawRepresentationFactory), $"it made a {raw.GetType().Name}; expected {nameof(GenerationOptions)} or null"),
        };
        return own with
        {
            Temperature = own.Temperature ?? options.Temperature,
            TopP = own.TopP ?? options.TopP,
            TopK = own.TopK ?? options.TopK,
            Seed = own.Seed ?? (options.Seed is { } seed ? unchecked((ulong)seed) : null),
            MaxTokens = own.MaxTokens ?? options.MaxOutputTokens,
            StopStrings = own.StopStrings.Count > 0 ? own.StopStrings : [.. options.StopSequences ?? []],
            FrequencyPenalty = own.FrequencyPenalty != 0 ? own.FrequencyPenalty : options.FrequencyPenalty ?? 0,
            PresencePenalty = own.PresencePenalty != 0 ? own.PresencePenalty : options.PresencePenalty ?? 0,
        };
    }

    // The names that templates have for it.
    private static Dictionary<string, JsonElement> Variables(ReasoningOptions? reasoning) => reasoning?.Effort switch
    {
        null => [],
        ReasoningEffort.None => new() { ["enable_thinking"] = Json("false") },
        ReasoningEffort.Low => new() { ["enable_thinking"] = Json("true"), ["reasoning_effort"] = Json("\"low\"") },
        ReasoningEffort.Medium => new() { ["enable_thinking"] = Json("true"), ["reasoning_effort"] = Json("\"medium\"") },
        _ => new() { ["enable_thinking"] = Json("true"), ["reasoning_effort"] = Json("\"high\"") },
    };

    private static JsonElement Describe(AITool tool)
    {
        if (tool is not AIFunctionDeclaration function)
        {
            throw Refused(nameof(ChatOptions.Tools), $"'{tool.Name}' is a {tool.GetType().Name}; expected functions, because nothing here runs hosted tools");
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("type", "function");
            json.WriteStartObject("function");
            json.WriteString("name", function.Name);
            json.WriteString("description", function.Description);
            json.WritePropertyName("parameters");
            function.JsonSchema.WriteTo(json);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        using var document = JsonDocument.Parse(buffer.WrittenMemory);
        return document.RootElement.Clone();
    }

    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }

    private static NotSupportedException Refused(string member, string why) => new($"{nameof(ChatOptions)}.{member}: {why}");

    private static void Require<T>(bool holds, string member, T value, string allowed)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(member, value, FormattableString.Invariant($"{nameof(ChatOptions)}.{member} must be {allowed}"));
        }
    }
}
