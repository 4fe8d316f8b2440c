namespace NativeSpec.Engine;

/// <summary>How an engine is at a moment, for health checks. Taken without waiting for the engine, so its numbers may be a round apart.</summary>
/// <param name="Waiting">Requests that have not been admitted yet, or have given their pages back.</param>
/// <param name="Active">Requests that are being computed.</param>
/// <param name="UsedPages">Pages of 64 tokens' keys and values that requests hold.</param>
/// <param name="FreePages">Pages that none holds, those that remember a beginning of a text among them.</param>
/// <param name="CachedPages">Of the free pages, those that remember: a request that begins alike takes them over.</param>
/// <param name="Preemptions">How often a request has given its pages back to an older one, since the engine was loaded.</param>
/// <param name="Rounds">Rounds since the engine was loaded.</param>
/// <param name="SinceLastRound">The time since the last round ended, or since a request came to an engine that had nothing to do. Where <see cref="Active"/> is not 0 and this is many
/// times what a round takes, the engine is stuck.</param>
/// <param name="IsFaulted">Whether the engine has failed for good, and refuses all requests with <see cref="EngineFaultedException"/>.</param>
public readonly record struct EngineSnapshot(
    int Waiting, int Active, int UsedPages, int FreePages, int CachedPages, long Preemptions, long Rounds, TimeSpan SinceLastRound, bool IsFaulted);
