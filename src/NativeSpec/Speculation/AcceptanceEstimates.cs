namespace NativeSpec.Speculation;

/// <summary>How likely a proposal is right, given that its parent is: learnt online for each drafter, by depth, rank and the drafter's own
/// confidence.</summary>
/// <remarks>Counts fade, so that the estimate follows the text. A cell that has seen little leans on its drafter's counts at that
/// confidence, and these on a prior: the confidence itself where there is one.</remarks>
internal sealed class AcceptanceEstimates(int drafters)
{
    private const int Depths = 5, Ranks = 4, Confidences = 8;
    private const int CellsPerDrafter = Depths * Ranks * Confidences;
    private const double RememberedWeight = 16;
    private const double Fade = 0.98;
    private const double PriorWeight = 4;
    private const double UnknownPrior = 0.25;

    /// <summary>Length of what <see cref="Export"/> gives.</summary>
    public const int CountsPerDrafter = Confidences + CellsPerDrafter;

    private readonly Count[] _cells = new Count[drafters * CellsPerDrafter];
    private readonly Count[] _drafterCells = new Count[drafters * Confidences];

    /// <summary>The probability that a proposal is right if its parent is.</summary>
    public double Estimate(int drafter, int depth, int rank, float confidence)
    {
        var prior = confidence > 0 ? confidence : UnknownPrior;
        var wide = _drafterCells[WideIndex(drafter, confidence)].Mean(rank == 0 ? prior : prior / 2, PriorWeight);
        return _cells[Index(drafter, depth, rank, confidence)].Mean(wide, PriorWeight);
    }

    /// <summary>Learns whether a proposal was right, its parent having been so.</summary>
    public void Observe(int drafter, int depth, int rank, float confidence, bool right)
    {
        _cells[Index(drafter, depth, rank, confidence)].Add(right, Fade);
        _drafterCells[WideIndex(drafter, confidence)].Add(right, Fade);
    }

    /// <summary>What is known about a drafter, for a profile: [8 + 160] counts, those of its confidences first.</summary>
    public (double Right, double All)[] Export(int drafter)
        => [.. Wide(drafter).ToArray().Concat(Cells(drafter).ToArray()).Select(count => count.Values)];

    /// <summary>Begins with what a profile knows about a drafter. It counts as a few observations, so that it gives way to the text soon.</summary>
    public void Import(int drafter, ReadOnlySpan<(double Right, double All)> counts)
    {
        for (var i = 0; i < CountsPerDrafter; i++)
        {
            var count = new Count(counts[i].Right, counts[i].All, RememberedWeight);
            (i < Confidences ? ref Wide(drafter)[i] : ref Cells(drafter)[i - Confidences]) = count;
        }
    }

    private Span<Count> Wide(int drafter) => _drafterCells.AsSpan(drafter * Confidences, Confidences);

    private Span<Count> Cells(int drafter) => _cells.AsSpan(drafter * CellsPerDrafter, CellsPerDrafter);

    private static int WideIndex(int drafter, float confidence) => (drafter * Confidences) + ConfidenceBucket(confidence);

    private static int Index(int drafter, int depth, int rank, float confidence)
        => (((((drafter * Depths) + DepthBucket(depth)) * Ranks) + Math.Min(rank, Ranks - 1)) * Confidences) + ConfidenceBucket(confidence);

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

    private struct Count
    {
        private double _right;
        private double _all;

        public Count(double right, double all, double most)
        {
            var scale = all > most ? most / all : 1;
            (_right, _all) = (right * scale, all * scale);
        }

        public readonly (double Right, double All) Values => (_right, _all);

        public readonly double Mean(double prior, double weight) => (_right + (prior * weight)) / (_all + weight);

        public void Add(bool right, double fade)
        {
            _right = (_right * fade) + (right ? 1 : 0);
            _all = (_all * fade) + 1;
        }
    }
}
