namespace NativeSpec.Speculation.Planning;

/// <summary>How likely a proposal is right, given that its parent is, whatever the other drafters say: learnt online for each drafter, by
/// depth, rank and the drafter's own confidence.</summary>
/// <remarks>Counts fade, so that the estimate follows the text. A cell that has seen little leans on its drafter's counts at that
/// confidence, and these on a prior: the confidence itself where there is one. What several drafters say about a node together is
/// <see cref="JointEstimates"/>' to judge.</remarks>
internal sealed class AcceptanceEstimates(int drafters)
{
    private const int Depths = 5, Ranks = 4, Confidences = 8;
    private const int CellsPerDrafter = Depths * Ranks * Confidences;
    private const double PriorWeight = 4;
    private const double UnknownPrior = 0.25;

    /// <summary>Length of what <see cref="Export"/> gives.</summary>
    public const int CountsPerDrafter = Confidences + CellsPerDrafter;

    private readonly FadingCount[] _counts = new FadingCount[drafters * CountsPerDrafter]; // [drafters, those of its confidences, its cells]

    /// <summary>The probability that a proposal is right if its parent is.</summary>
    public double Estimate(int drafter, int depth, int rank, float confidence)
    {
        var counts = Of(drafter);
        var prior = confidence > 0 ? confidence : UnknownPrior;
        var wide = counts[ConfidenceBucket(confidence)].Mean(rank == 0 ? prior : prior / 2, PriorWeight);
        return counts[Cell(depth, rank, confidence)].Mean(wide, PriorWeight);
    }

    /// <summary>Learns whether a proposal was right, its parent having been so.</summary>
    public void Observe(int drafter, int depth, int rank, float confidence, bool right)
    {
        var counts = Of(drafter);
        counts[Cell(depth, rank, confidence)].Add(right);
        counts[ConfidenceBucket(confidence)].Add(right);
    }

    /// <summary>What is known about a drafter, for a profile: 8 + 160 counts, those of its confidences first.</summary>
    public (double Right, double All)[] Export(int drafter) => [.. Of(drafter).ToArray().Select(count => count.Values)];

    /// <summary>Forgets a drafter.</summary>
    public void Forget(int drafter) => Of(drafter).Clear();

    /// <summary>Begins with what a profile knows about a drafter.</summary>
    public void Import(int drafter, ReadOnlySpan<(double Right, double All)> counts)
    {
        for (var i = 0; i < CountsPerDrafter; i++)
        {
            Of(drafter)[i] = new FadingCount(counts[i].Right, counts[i].All);
        }
    }

    private Span<FadingCount> Of(int drafter) => _counts.AsSpan(drafter * CountsPerDrafter, CountsPerDrafter);

    private static int Cell(int depth, int rank, float confidence)
        => Confidences + (((DepthBucket(depth) * Ranks) + Math.Min(rank, Ranks - 1)) * Confidences) + ConfidenceBucket(confidence);

    private static int DepthBucket(int depth) => depth switch { <= 1 => 0, 2 => 1, 3 => 2, <= 6 => 3, _ => 4 };

    private static int ConfidenceBucket(float confidence) => confidence switch
    {
        <= 0 => 0,
        < 0.05f => 1,
        < 0.15f => 2,
        < 0.35f => 3,
        < 0.55f => 4,
        < 0.75f => 5,
        < 0.92f => 6,
        _ => 7,
    };
}
