using NativeSpec.Chat.Templates;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Sampling;

namespace NativeSpec.Server.Errors;

/// <summary>What the engine throws, as an answer.</summary>
internal static class ErrorMapping
{
    /// <summary>The request's names of what the engine's options call otherwise.</summary>
    private static readonly Dictionary<string, string> Parameters = new(StringComparer.Ordinal)
    {
        [nameof(GenerationOptions.Temperature)] = "temperature",
        [nameof(GenerationOptions.TopK)] = "top_k",
        [nameof(GenerationOptions.TopP)] = "top_p",
        [nameof(GenerationOptions.MinP)] = "min_p",
        [nameof(GenerationOptions.RepetitionPenalty)] = "repetition_penalty",
        [nameof(GenerationOptions.PresencePenalty)] = "presence_penalty",
        [nameof(GenerationOptions.FrequencyPenalty)] = "frequency_penalty",
        [nameof(GenerationOptions.TopLogProbs)] = "top_logprobs",
        [nameof(GenerationOptions.LogitBias)] = "logit_bias",
        [nameof(GenerationOptions.MaxTokens)] = "max_tokens",
        [nameof(GenerationOptions.CacheSalt)] = "cache_salt",
        [nameof(GenerationOptions.StopIds)] = "stop_token_ids",
        [nameof(GenerationOptions.Prediction)] = "prediction",
        ["Drafters"] = "speculation",
        ["stop"] = "stop",
        ["stops"] = "stop",
    };

    /// <summary>The answer to a request that the engine does not begin with, because something is wrong with it.</summary>
    /// <param name="error">What the engine threw at the call.</param>
    /// <param name="prompt">The request's name of its prompt.</param>
    /// <param name="maxTokens">The request's name of the most tokens.</param>
    public static Exception OfCall(Exception error, string prompt, string maxTokens = "max_tokens") => error switch
    {
        ContextLengthException => ApiException.TooLong(prompt, error.Message),
        ChatTemplateException { Fault: ChatTemplateFault.Raised or ChatTemplateFault.Rendering or ChatTemplateFault.Limit } => ApiException.Invalid(prompt, error.Message, inner: error),
        ObjectDisposedException => Of(error),
        ArgumentException { ParamName: { } name } => ApiException.Invalid(
            Parameters.GetValueOrDefault(name.Split('[')[0], prompt) is var known && known == "max_tokens" ? maxTokens : known, // LogitBias[5] is LogitBias
            error.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal),
            inner: error),
        ArgumentException or InvalidOperationException => ApiException.Invalid(prompt, error.Message, inner: error),
        _ => Of(error),
    };

    /// <summary>The answer where the engine takes no requests.</summary>
    public static ApiException OfState(EngineHostState state) => state switch
    {
        EngineHostState.Loading => ApiException.Unavailable("model_loading", "the model is being loaded"),
        EngineHostState.Failed => ApiException.Unavailable("model_failed", "the model could not be loaded: the server's log says why"),
        _ => ApiException.Unavailable("draining", "the server is shutting down"),
    };

    /// <summary>The answer to a request that ends without its text.</summary>
    public static ApiException Of(Exception error) => error switch
    {
        ApiException api => api,
        ContextLengthException => ApiException.TooLong("messages", error.Message),
        EngineBusyException => ApiException.Busy("engine_busy", error.Message),
        FirstTokenTimeoutException => ApiException.Unavailable("first_token_timeout", error.Message),
        SlowReaderException => ApiException.Unavailable("slow_reader", error.Message),
        EngineUnavailableException unavailable => OfState(unavailable.State),
        ObjectDisposedException => OfState(EngineHostState.Draining),
        NonFiniteLogitsException => ApiException.Failed($"the model gave no usable numbers: {error.Message}", error),
        EngineException => ApiException.Failed(error.Message, error),
        _ => ApiException.Failed("the server has failed on this request; its log says how", error),
    };
}
