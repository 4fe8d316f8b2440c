namespace NativeSpec.Engine;

/// <summary>What an engine cannot do now, though nothing is wrong with the request.</summary>
public abstract class EngineException : Exception
{
    /// <summary>Makes one.</summary>
    private protected EngineException(string message)
        : base(message)
    {
    }
}

/// <summary>As many requests as the engine takes are being served or wait: <see cref="EngineOptions.MaxSequences"/> and
/// <see cref="EngineOptions.MaxWaiting"/>. The same request may be made again later.</summary>
public sealed class EngineBusyException : EngineException
{
    internal EngineBusyException(int maxSequences, int maxWaiting)
        : base($"the engine has its {maxSequences} requests to serve and {maxWaiting} more that wait; try again later, or raise {nameof(EngineOptions)}.{nameof(EngineOptions.MaxWaiting)}")
    {
    }
}
