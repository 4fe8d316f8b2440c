using System.Buffers;
using System.Text.Json;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Chat;

/// <summary>How a conversation is made into a prompt, beside the turns themselves.</summary>
public sealed record ChatFormat
{
    /// <summary>The tools that the model may call, each described as OpenAI's protocol does: <c>{"type": "function", "function": {…}}</c>.</summary>
    public IReadOnlyList<JsonElement> Tools { get; init; } = [];

    /// <summary>Whether the prompt ends where an assistant's answer begins. Off for a conversation that is not to be answered.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>Further variables of the template, such as <c>enable_thinking</c>. None of them takes the place of a <see cref="ReservedVariables">reserved</see> one.</summary>
    /// <exception cref="ArgumentException">One has a reserved name.</exception>
    public IReadOnlyDictionary<string, JsonElement> Variables
    {
        get;
        init => field = value?.Keys.FirstOrDefault(ReservedVariables.Contains) is { } reserved
            ? throw new ArgumentException($"'{reserved}' is a variable that comes from the conversation or the tokenizer, and cannot be given", nameof(Variables))
            : value ?? throw new ArgumentNullException(nameof(Variables));
    } = new Dictionary<string, JsonElement>();

    /// <summary>The template, by its name; null takes the one for tools where there are tools and the model has it, else the default.</summary>
    public string? Template { get; init; }

    /// <summary>What the template's clock shows; null for the system's.</summary>
    public TimeProvider? Clock { get; init; }

    /// <summary>Variables that a template has from the conversation, the tools and the tokenizer, and from nobody else.</summary>
    public static IReadOnlySet<string> ReservedVariables { get; } = new HashSet<string>(["messages", "tools", "documents", "add_generation_prompt", .. ChatTemplates.TokenNames], StringComparer.Ordinal);

    /// <summary>The same without what only one request has: what is found out with it holds for all others too.</summary>
    internal ChatFormat Shared => this with { Tools = Tools.Count > 0 ? [ReplyProbe.ProbeTool] : [], Variables = new Dictionary<string, JsonElement>(), Clock = null };

    /// <summary>The names of the tools.</summary>
    internal IReadOnlySet<string> ToolNames => Tools.Select(NameOf).OfType<string>().ToHashSet(StringComparer.Ordinal);

    /// <summary>The variables that a template is rendered with.</summary>
    internal Dictionary<string, JsonElement> Data(IReadOnlyList<ChatTurn> turns, CallTurnStyle style)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartArray("messages");
            foreach (var turn in turns)
            {
                turn.Write(json, style);
            }

            json.WriteEndArray();
            json.WriteBoolean("add_generation_prompt", AddGenerationPrompt);
            json.WriteNull("documents");
            json.WritePropertyName("tools");
            if (Tools.Count == 0)
            {
                json.WriteNullValue();
            }
            else
            {
                json.WriteStartArray();
                foreach (var tool in Tools)
                {
                    tool.WriteTo(json);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        using var document = JsonDocument.Parse(buffer.WrittenMemory, new JsonDocumentOptions { MaxDepth = 1000 }); // how deep is the template's limit to say
        var data = document.RootElement.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.Clone(), StringComparer.Ordinal);
        foreach (var (name, value) in Variables)
        {
            data[name] = value;
        }

        return data;
    }

    private static string? NameOf(JsonElement tool)
    {
        if (tool.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        var function = tool.TryGetProperty("function", out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : tool;
        return function.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String ? name.GetString() : null;
    }
}
