namespace NativeSpec.Speculation.Planning;

/// <summary>What is said about a node: by the drafters that proposed it, and by those that proposed another token in its place.</summary>
/// <param name="Leader">The drafter that is surest of it, by <see cref="AcceptanceEstimates"/>; −1 where nobody proposed it.</param>
/// <param name="Best">The leader's estimate.</param>
/// <param name="Second">The next surest drafter that proposed it; −1 where there is none.</param>
/// <param name="SecondBest">That one's estimate.</param>
/// <param name="Rival">The largest estimate of another drafter than the leader for another token; 0 where there is none.</param>
internal readonly record struct Evidence(int Leader, double Best, int Second, double SecondBest, double Rival)
{
    /// <summary>Nobody has said anything.</summary>
    public static Evidence None { get; } = new(-1, 0, -1, 0, 0);

    /// <summary>With one more drafter that proposed the node.</summary>
    public Evidence With(int drafter, double estimate)
        => Leader < 0 || estimate > Best ? this with { Leader = drafter, Best = estimate, Second = Leader, SecondBest = Best }
        : Second < 0 || estimate > SecondBest ? this with { Second = drafter, SecondBest = estimate }
        : this;
}

/// <summary>How likely a node is right, given that its parent is, by all that the drafters say about it.</summary>
/// <remarks>
/// <para>Drafters depend on each other: two that copy from the text agree on most mistakes, and what a good draft model does not propose
/// is rarely right. So agreement proves what it has proved before: the nodes that one drafter leads and another seconds are counted by
/// themselves, apart for each pair, for disputed and undisputed nodes and for what was to be expected. Counts fade.</para>
/// <para>Expected is the leader's own estimate p; where another drafter has a token with estimate r in its place, only one of the two can
/// be right, and if what they say is independent the odds are p/(1−p) : r/(1−r) : 1 for the one, the other, neither. A node that one
/// drafter alone has spoken of has the estimate that is its own.</para>
/// </remarks>
internal sealed class JointEstimates(int drafters)
{
    private const double PriorWeight = 8;
    private const double Surest = 0.9999;

    private static readonly double[] Bounds = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97];

    /// <summary>Cells of a pair: disputed or not, by what was expected.</summary>
    public const int CellsPerPair = 2 * 11;

    private readonly FadingCount[]?[] _pairs = new FadingCount[]?[drafters * (drafters + 1)]; // [leader, second or none], made when first seen

    /// <summary>The probability that the node is right if its parent is.</summary>
    public double Estimate(in Evidence said)
    {
        if (said.Second < 0 && said.Rival <= 0)
        {
            return said.Best;
        }

        var expected = Expected(said);
        return _pairs[Pair(said.Leader, said.Second)] is { } cells ? cells[Cell(said, expected)].Mean(expected, PriorWeight) : expected;
    }

    /// <summary>Learns whether the node was right, its parent having been so.</summary>
    public void Observe(in Evidence said, bool right)
    {
        if (said.Second >= 0 || said.Rival > 0)
        {
            var cells = _pairs[Pair(said.Leader, said.Second)] ??= new FadingCount[CellsPerPair];
            cells[Cell(said, Expected(said))].Add(right);
        }
    }

    /// <summary>Forgets a drafter.</summary>
    public void Forget(int drafter)
    {
        for (var other = -1; other < drafters; other++)
        {
            _pairs[Pair(drafter, other)] = null;
            if (other >= 0)
            {
                _pairs[Pair(other, drafter)] = null;
            }
        }
    }

    /// <summary>What is known about a pair, for a profile; null where nothing is.</summary>
    /// <param name="leader">The surer drafter.</param>
    /// <param name="second">The other one; −1 for what it leads alone and others dispute.</param>
    public (double Right, double All)[]? Export(int leader, int second)
        => _pairs[Pair(leader, second)] is { } cells ? [.. cells.Select(count => count.Values)] : null;

    /// <summary>Begins with what a profile knows about a pair.</summary>
    public void Import(int leader, int second, IEnumerable<(double Right, double All)> counts)
        => _pairs[Pair(leader, second)] = [.. counts.Select(count => new FadingCount(count.Right, count.All))];

    private static double Expected(in Evidence said)
    {
        var odds = Odds(said.Best);
        return said.Rival <= 0 ? said.Best : odds / (1 + odds + Odds(said.Rival));
    }

    private static double Odds(double probability) => Math.Min(probability, Surest) / (1 - Math.Min(probability, Surest));

    private static int Cell(in Evidence said, double expected)
    {
        var bucket = 0;
        while (bucket < Bounds.Length && expected >= Bounds[bucket])
        {
            bucket++;
        }

        return bucket + (said.Rival > 0 ? CellsPerPair / 2 : 0);
    }

    private int Pair(int leader, int second) => (leader * (drafters + 1)) + second + 1;
}
