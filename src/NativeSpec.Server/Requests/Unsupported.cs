using System.Text.Json;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>Members that would change the answer and are not supported: a request that has one is refused, because an answer without it would be taken for one with it.
/// What changes nothing (<c>user</c>, <c>metadata</c>, <c>store</c>, whatever is unknown) is ignored.</summary>
internal static class Unsupported
{
    private const string NoGrammar = "this server has no grammar to hold an answer to a form; ask for it in the prompt and check the answer";

    private static readonly (string Name, string Why)[] Members =
    [
        ("grammar", NoGrammar), ("structured_outputs", NoGrammar), ("guided_json", NoGrammar), ("guided_regex", NoGrammar), ("guided_choice", NoGrammar), ("guided_grammar", NoGrammar),
        ("json_schema", NoGrammar),
        ("functions", "functions are an older form of tools: use tools"), ("function_call", "function_call is an older form of tool_choice: use tools and tool_choice"),
        ("audio", "the model writes text alone"), ("web_search_options", "this server searches nothing"),
        ("chat_template", "templates do not come with a request: nativespec serve --chat-template takes one"),
        ("min_tokens", "a text ends where the model ends it: use ignore_eos with max_tokens to go on"),
        ("documents", "documents are not given to the template: put them into a message"),
    ];

    /// <summary>Refuses a request that asks for what there is not.</summary>
    public static void Refuse(RequestObject body)
    {
        foreach (var (name, why) in Members)
        {
            if (body.Has(name))
            {
                throw ApiException.Unsupported(body.PathOf(name), $"{name} is not supported: {why}");
            }
        }

        foreach (var modality in body.List("modalities", 8) ?? Enumerable.Empty<RequestItem>())
        {
            if (RequestObject.TextOf(modality.Value, modality.Path) != "text")
            {
                throw ApiException.Unsupported("modalities", "the model writes text alone: modalities may only be [\"text\"]");
            }
        }

        if (body.Bool("continue_final_message") ?? false)
        {
            throw ApiException.Unsupported("continue_final_message", "a last message is not continued: /v1/completions continues a text");
        }
    }

    /// <summary>Takes <c>{"type": "text"}</c> and refuses all else.</summary>
    /// <param name="format">The form that an answer is to have.</param>
    public static void RefuseForm(RequestObject? format)
    {
        switch (format?.RequiredText("type"))
        {
            case null or "text":
                return;
            case "json_object" or "json_schema":
                throw ApiException.Unsupported(format.Value.Path, $"{format.Value.Path} of type json_object or json_schema is not supported: {NoGrammar}");
            default:
                throw ApiException.Invalid(format.Value.Path, $"{format.Value.Path}.type is unknown; expected \"text\"");
        }
    }

    /// <summary>Whether the model may call tools. That it must needs a grammar.</summary>
    /// <param name="body">The request.</param>
    /// <param name="hasTools">Whether there are any.</param>
    public static bool MayCallTools(RequestObject body, bool hasTools)
    {
        if (!body.TryGet("tool_choice", out var choice))
        {
            return hasTools;
        }

        var word = choice.ValueKind == JsonValueKind.Object ? "" : RequestObject.TextOf(choice, "tool_choice");
        return word switch
        {
            "auto" => hasTools,
            "none" => false,
            "" or "required" when !hasTools => throw ApiException.Invalid("tool_choice", "tool_choice asks for a tool, and there are no tools"),
            "" or "required" => throw ApiException.Unsupported("tool_choice", $"tool_choice may be \"auto\" or \"none\": {NoGrammar}"),
            _ => throw ApiException.Invalid("tool_choice", "tool_choice is an unknown word; expected \"auto\" or \"none\""),
        };
    }
}
