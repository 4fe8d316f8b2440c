namespace NativeSpec.Engine;

/// <summary>What an engine cannot do, or cannot do now. A service tells by the type what to answer. That a disposed engine throws
/// <see cref="ObjectDisposedException"/>, a cancelled request <see cref="OperationCanceledException"/> and a wrong option <see cref="ArgumentException"/>
/// is as everywhere in .NET.</summary>
public abstract class EngineException : Exception
{
    /// <summary>Makes one.</summary>
    private protected EngineException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}

/// <summary>As many requests as the engine takes are being served or wait: <see cref="EngineOptions.MaxSequences"/>,
/// <see cref="EngineOptions.MaxWaiting"/> and <see cref="EngineOptions.MaxWaitingTokens"/>. The same request may be made again later.</summary>
public sealed class EngineBusyException : EngineException
{
    internal EngineBusyException(string message)
        : base(message)
    {
    }
}

/// <summary>The prompt leaves no room in the context to write. The same request will never do.</summary>
public sealed class ContextLengthException : EngineException
{
    internal ContextLengthException(int promptTokens, int maxContext)
        : base($"the prompt has {promptTokens} tokens and the context holds {maxContext}, of which one must be left to write: shorten it")
        => (PromptTokens, MaxContext) = (promptTokens, maxContext);

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Most tokens of a request, prompt and output together: <see cref="InferenceEngine.MaxContext"/>.</summary>
    public int MaxContext { get; }
}

/// <summary>The request had no token when its <see cref="GenerationOptions.FirstTokenTimeout"/> had passed: too many others were before it, or its
/// prompt takes longer.</summary>
public sealed class FirstTokenTimeoutException : EngineException
{
    internal FirstTokenTimeoutException(TimeSpan timeout, bool hasBegun)
        : base($"no token within {timeout.TotalSeconds:0.###} s: {(hasBegun ? "the prompt was being computed" : "the request was waiting for its turn")}")
    {
    }
}

/// <summary>Nobody has read the text for longer than <see cref="EngineOptions.SlowReaderTimeout"/>, though there was more of it than
/// <see cref="EngineOptions.MaxUnreadPieces"/>.</summary>
public sealed class SlowReaderException : EngineException
{
    internal SlowReaderException(int unread, TimeSpan timeout)
        : base($"{unread} pieces of the text wait to be read, and none was read for {timeout.TotalSeconds:0.###} s; read faster, or raise {nameof(EngineOptions)}.{nameof(EngineOptions.SlowReaderTimeout)}")
    {
    }
}
