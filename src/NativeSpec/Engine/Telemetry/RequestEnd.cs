using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine.Telemetry;

/// <summary>What there is to say of a request that has ended.</summary>
/// <param name="PromptTokens">Tokens of its prompt.</param>
/// <param name="CachedTokens">Of them, those whose keys and values another request had left.</param>
/// <param name="OutputTokens">Tokens it has written.</param>
/// <param name="Queue">From the first read until the engine began with it, or until its end if it never did.</param>
/// <param name="FirstToken">From the first read to its first token; null where there was none.</param>
/// <param name="Decode">From its first token to its last.</param>
/// <param name="Duration">From the first read to its end.</param>
/// <param name="Stats">What its drafters did; null where they never began.</param>
/// <param name="FinishReason">Why its text ended; null where it did not.</param>
/// <param name="Error">What it failed with.</param>
internal readonly record struct RequestEnd(
    int PromptTokens, int CachedTokens, int OutputTokens, TimeSpan Queue, TimeSpan? FirstToken, TimeSpan Decode, TimeSpan Duration, StatsCounter? Stats, FinishReason? FinishReason, Exception? Error);
