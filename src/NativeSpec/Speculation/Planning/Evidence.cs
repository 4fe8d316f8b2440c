namespace NativeSpec.Speculation.Planning;

/// <summary>What is said about a node: by the drafters that proposed it, and by those that proposed another token in its place. Each drafter's own
/// estimate is the logit of a probability, by <see cref="AcceptanceEstimates"/>.</summary>
/// <param name="Leader">The drafter that is surest of it; −1 where nobody proposed it.</param>
/// <param name="Best">The leader's estimate.</param>
/// <param name="Second">The next surest drafter that proposed it; −1 where there is none.</param>
/// <param name="SecondBest">That one's estimate.</param>
/// <param name="Rival">The other drafter than the leader that is surest of another token; −1 where there is none.</param>
/// <param name="RivalBest">That one's estimate.</param>
internal readonly record struct Evidence(int Leader, double Best, int Second, double SecondBest, int Rival, double RivalBest)
{
    /// <summary>Nobody has said anything.</summary>
    public static Evidence None { get; } = new(-1, 0, -1, 0, -1, 0);

    /// <summary>With one more drafter that proposed the node.</summary>
    public Evidence With(int drafter, double estimate)
        => Leader < 0 || estimate > Best ? this with { Leader = drafter, Best = estimate, Second = Leader, SecondBest = Best }
        : Second < 0 || estimate > SecondBest ? this with { Second = drafter, SecondBest = estimate }
        : this;

    /// <summary>With one more drafter that proposed another token in its place.</summary>
    public Evidence Against(int drafter, double estimate)
        => Leader < 0 || drafter == Leader || (Rival >= 0 && estimate <= RivalBest) ? this : this with { Rival = drafter, RivalBest = estimate };
}
