using NativeSpec.Loading.Llama;
using NativeSpec.Speculation.DraftModels;

namespace NativeSpec.Engine.Building;

/// <summary>How long a context and how many tokens' keys and values an engine holds.</summary>
/// <param name="MaxContext">Most tokens of one request.</param>
/// <param name="KvTokens">Tokens of all requests together.</param>
internal readonly record struct MemoryPlan(int MaxContext, long KvTokens)
{
    /// <summary>The part of the memory that keys and values may take where the user has not said.</summary>
    private const int MemoryShare = 4;

    /// <summary>Fits the options to the model and the machine.</summary>
    /// <param name="config">The model.</param>
    /// <param name="options">The user's wishes, validated.</param>
    /// <param name="kvBytesPerToken">Bytes of keys and values per token.</param>
    /// <param name="memory">Bytes of memory that the process may use.</param>
    /// <exception cref="ArgumentException">A wish cannot be met.</exception>
    public static MemoryPlan For(LlamaConfig config, EngineOptions options, long kvBytesPerToken, long memory)
    {
        var affordable = Math.Max(memory / MemoryShare / kvBytesPerToken, 64);
        if (options.MaxContext > config.MaxPositionEmbeddings)
        {
            throw new ArgumentException(
                $"{nameof(EngineOptions)}.{nameof(EngineOptions.MaxContext)} is {options.MaxContext}; the model has {config.MaxPositionEmbeddings} positions", nameof(options));
        }

        var context = options.MaxContext ?? (int)Math.Min(config.MaxPositionEmbeddings, Math.Max(options.KvTokens ?? affordable, 2));
        var tokens = options.KvTokens ?? Math.Max(Math.Min((long)context * options.MaxSequences, affordable), context);
        if (tokens < context)
        {
            throw new ArgumentException(
                $"{nameof(EngineOptions)}.{nameof(EngineOptions.KvTokens)} is {tokens}; one request of {context} tokens would not fit. Raise it or lower {nameof(EngineOptions.MaxContext)}",
                nameof(options));
        }

        return new MemoryPlan(context, tokens);
    }

    /// <summary>The same for a draft model beside this one: a context that is never longer, and as many tokens, as far as the draft models' part
    /// of the memory goes, as large as the target's for all of them together. A text for which that leaves no room is not drafted for.</summary>
    /// <param name="config">The draft model.</param>
    /// <param name="options">The user's wishes, validated.</param>
    /// <param name="kvBytesPerToken">Bytes of its keys and values per token.</param>
    /// <param name="memory">Bytes of memory that the process may use.</param>
    public DraftRoom ForDraft(LlamaConfig config, EngineOptions options, long kvBytesPerToken, long memory)
    {
        var affordable = Math.Max(memory / MemoryShare / Math.Max(options.DraftModels.Count, 1) / kvBytesPerToken, 64);
        var context = Math.Min(config.MaxPositionEmbeddings, MaxContext);
        return new DraftRoom(options.MaxSequences, context, Math.Min(Math.Min(KvTokens, affordable), (long)context * options.MaxSequences), options.PrefixCache);
    }
}
