namespace NativeSpec.Engine.Rounds;

/// <summary>What a round took.</summary>
/// <param name="Forward">The target's forward.</param>
/// <param name="Whole">All of it, drafting, choosing and learning included.</param>
internal readonly record struct RoundTimes(TimeSpan Forward, TimeSpan Whole);
