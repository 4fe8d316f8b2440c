using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>A prompt: a text, or its tokens.</summary>
internal sealed record Prompt(string? Text, int[]? Ids)
{
    /// <summary>Its tokens. A text's control tokens are those that the tokenizer puts around it; what it spells becomes none.</summary>
    public int[] Encode(InferenceEngine engine) => Ids ?? engine.Tokenizer.Encode(Text!);

    /// <summary>Its text.</summary>
    public string Show(InferenceEngine engine) => Text ?? engine.Tokenizer.Decode(Ids);
}

/// <summary>A request for the continuation of one or more texts.</summary>
/// <param name="Text">What it has in common with others; <c>n</c> counts for each prompt.</param>
/// <param name="Prompts">The texts.</param>
/// <param name="Echo">Whether an answer begins with its prompt.</param>
internal sealed record CompletionRequest(TextRequest Text, IReadOnlyList<Prompt> Prompts, bool Echo)
{
    private const int DefaultMaxTokens = 16; // as the protocol has it

    /// <summary>Reads a request for <c>/v1/completions</c>.</summary>
    /// <param name="body">The request.</param>
    /// <param name="server">What the server allows.</param>
    /// <param name="maxContext">Most tokens of a prompt.</param>
    public static CompletionRequest Read(RequestObject body, NativeSpecServerOptions server, int maxContext)
    {
        Unsupported.Refuse(body);
        Unsupported.RefuseForm(body.Object("response_format"));
        if (body.Text("suffix") is { Length: > 0 })
        {
            throw ApiException.Unsupported("suffix", "suffix is not supported: the model writes on from a text's end");
        }

        var text = TextRequest.Read(body, server, "max_tokens", "max_completion_tokens");
        if (body.Int("best_of", 1, int.MaxValue) is { } best && best != text.Choices)
        {
            throw ApiException.Unsupported("best_of", "best_of may only be n: texts are not ranked");
        }

        var echo = body.Bool("echo") ?? false;
        var top = body.Int("logprobs", 0, Sampling.SamplingOptions.MaxTopLogProbs);
        if (echo && top is not null)
        {
            throw ApiException.Unsupported("logprobs", "logprobs of a prompt are not computed: leave echo or logprobs out");
        }

        var prompts = PromptsOf(body, server.MaxChoices, maxContext);
        if (prompts.Length * text.Choices > server.MaxChoices)
        {
            throw ApiException.Invalid(text.Choices > 1 ? "n" : "prompt", $"{prompts.Length} prompts with {text.Choices} texts each are {prompts.Length * text.Choices}; at most {server.MaxChoices} are allowed");
        }

        var options = text.Options with { TopLogProbs = top, MaxTokens = text.Options.MaxTokens ?? DefaultMaxTokens, Prediction = ChatRequest.Prediction(body) };
        return new CompletionRequest(text with { Options = options }, prompts, echo);
    }

    private static Prompt[] PromptsOf(RequestObject body, int most, int maxContext)
    {
        if (!body.TryGet("prompt", out var prompt))
        {
            throw ApiException.Invalid("prompt", "prompt is missing");
        }

        if (prompt.ValueKind == JsonValueKind.String)
        {
            return [new Prompt(RequestObject.TextOf(prompt, "prompt"), null)];
        }

        var list = RequestObject.ListOf(prompt, "prompt", int.MaxValue);
        if (list.Count == 0)
        {
            throw ApiException.Invalid("prompt", "prompt is an empty list");
        }

        if (list.First().Value.ValueKind == JsonValueKind.Number)
        {
            return [new Prompt(null, Ids(list, maxContext))];
        }

        return [.. RequestObject.ListOf(prompt, "prompt", most).Select(one => one.Value.ValueKind == JsonValueKind.String
            ? new Prompt(RequestObject.TextOf(one.Value, one.Path), null)
            : new Prompt(null, Ids(RequestObject.ListOf(one.Value, one.Path, int.MaxValue), maxContext)))];
    }

    private static int[] Ids(RequestList list, int maxContext) => list.Count < maxContext
        ? [.. list.Select(id => RequestObject.IntOf(id, 0, int.MaxValue))]
        : throw ApiException.TooLong("prompt", $"{list.Path} has {list.Count} tokens; with at least one more of the text, the context has {maxContext}");
}
