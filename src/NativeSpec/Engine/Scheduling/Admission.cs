namespace NativeSpec.Engine.Scheduling;

/// <summary>How many requests are in the engine, and whether one more is taken. Safe for any number of threads.</summary>
/// <param name="maxSequences">Most requests that are served at once.</param>
/// <param name="maxWaiting">Most requests beyond those.</param>
/// <param name="maxWaitingTokens">Most prompt tokens of all requests that have not begun.</param>
internal sealed class Admission(int maxSequences, int maxWaiting, long maxWaitingTokens)
{
    private int _requests;     // not ended
    private int _waiting;      // of those, not begun
    private long _waitingTokens;
    private long _last;

    /// <summary>Requests that have not ended.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Says now what <see cref="Enter"/> would say.</summary>
    /// <exception cref="EngineBusyException">No more are taken.</exception>
    public void ThrowIfBusy(int promptTokens)
    {
        if (Volatile.Read(ref _requests) - maxSequences >= maxWaiting)
        {
            throw TooManyRequests();
        }

        if (Volatile.Read(ref _waiting) > 0 && Volatile.Read(ref _waitingTokens) + promptTokens > maxWaitingTokens)
        {
            throw TooManyTokens(promptTokens);
        }
    }

    /// <summary>Counts a request in. A single one may wait however long its prompt is.</summary>
    /// <returns>Its place in the order of arrival.</returns>
    /// <exception cref="EngineBusyException">No more are taken.</exception>
    public long Enter(int promptTokens)
    {
        if (Interlocked.Increment(ref _requests) - maxSequences > maxWaiting)
        {
            Interlocked.Decrement(ref _requests);
            throw TooManyRequests();
        }

        var (waiting, tokens) = (Interlocked.Increment(ref _waiting), Interlocked.Add(ref _waitingTokens, promptTokens));
        if (waiting > 1 && tokens > maxWaitingTokens)
        {
            Leave(promptTokens, hasBegun: false);
            throw TooManyTokens(promptTokens);
        }

        return Interlocked.Increment(ref _last);
    }

    /// <summary>A request is served for the first time.</summary>
    public void Begin(int promptTokens)
    {
        Interlocked.Decrement(ref _waiting);
        Interlocked.Add(ref _waitingTokens, -promptTokens);
    }

    /// <summary>A request has ended.</summary>
    public void Leave(int promptTokens, bool hasBegun)
    {
        if (!hasBegun)
        {
            Begin(promptTokens);
        }

        Interlocked.Decrement(ref _requests);
    }

    private EngineBusyException TooManyRequests() => new(
        $"the engine has its {maxSequences} requests to serve and {maxWaiting} more that wait; try again later, or raise {nameof(EngineOptions)}.{nameof(EngineOptions.MaxWaiting)}");

    private EngineBusyException TooManyTokens(int promptTokens) => new(
        $"with this one's {promptTokens} the prompts that wait would have more than {maxWaitingTokens} tokens; try again later, or raise {nameof(EngineOptions)}.{nameof(EngineOptions.MaxWaitingTokens)}");
}
