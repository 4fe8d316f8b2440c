namespace NativeSpec.Engine;

/// <summary>A verdict about a drafter on this machine, with what it rests on.</summary>
/// <param name="Name">The drafter, by the name that the engine gave it.</param>
/// <param name="Pays">Whether it makes text faster; one that does not is left out of <c>Auto</c> for as long as the verdict holds.</param>
/// <param name="Depth">For a draft model, the best length of its paths; null otherwise.</param>
/// <param name="Width">For a draft model, the best number of nodes per depth; null otherwise.</param>
public sealed record DrafterTuning(string Name, bool Pays, int? Depth = null, int? Width = null)
{
    /// <summary>Rounds from which a verdict holds for the whole of <see cref="Longest"/>.</summary>
    private const double EnoughRounds = 200;

    /// <summary>The longest that a verdict holds.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(30);

    /// <summary>Tokens per second that were measured with it, divided by those of plain decoding; 0 where nothing was measured.</summary>
    public double SpeedUp { get; init; }

    /// <summary>Rounds that were measured.</summary>
    public int Rounds { get; init; }

    /// <summary>When that was.</summary>
    public DateTimeOffset Measured { get; init; }

    /// <summary>How long a verdict that a drafter does not pay keeps it out of <c>Auto</c>: thirty days where two hundred rounds or more were measured, less in
    /// proportion where there were fewer, not at all where there were none. Then the drafter is tried again, and its account, which bounds what a
    /// drafter may lose, decides.</summary>
    public TimeSpan HoldsFor => Longest * Math.Clamp(Rounds / EnoughRounds, 0, 1);

    /// <summary>Whether it keeps the drafter out of <c>Auto</c>.</summary>
    internal bool Excludes(DateTimeOffset now) => !Pays && now >= Measured && now - Measured < HoldsFor;
}
