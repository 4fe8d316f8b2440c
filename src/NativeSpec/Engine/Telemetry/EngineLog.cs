using Microsoft.Extensions.Logging;

namespace NativeSpec.Engine.Telemetry;

/// <summary>What engines log of requests, of those who listen, and of their own end.</summary>
internal static partial class EngineLog
{
    [LoggerMessage(EventId = 10, Level = LogLevel.Error, Message = "a request of {PromptTokens} tokens failed after {OutputTokens} more")]
    public static partial void RequestFailed(ILogger logger, int promptTokens, int outputTokens, Exception error);

    [LoggerMessage(EventId = 11, Level = LogLevel.Debug, Message = "a request ended: {PromptTokens} tokens and {OutputTokens} more, the first after {FirstToken}, the end after {Duration}: {Outcome}")]
    public static partial void Ended(ILogger logger, int promptTokens, int outputTokens, TimeSpan? firstToken, TimeSpan duration, string outcome);

    [LoggerMessage(EventId = 12, Level = LogLevel.Debug, Message = "a request was refused: {Reason}")]
    public static partial void Refused(ILogger logger, string reason);

    [LoggerMessage(EventId = 13, Level = LogLevel.Debug, Message = "a request of {Tokens} tokens gave its pages back to an older one, and will be computed again")]
    public static partial void Preempted(ILogger logger, int tokens);

    [LoggerMessage(EventId = 14, Level = LogLevel.Error, Message = "somebody who listens to metrics or activities failed; what was being counted may be missing there")]
    public static partial void ListenerFailed(ILogger logger, Exception error);

    [LoggerMessage(EventId = 15, Level = LogLevel.Critical, Message = "the engine has failed for good and refuses all requests from now on")]
    public static partial void Faulted(ILogger logger, Exception error);
}
