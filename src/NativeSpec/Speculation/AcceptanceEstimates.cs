namespace NativeSpec.Speculation;

/// <summary>How likely a proposal is right, given that its parent is: learnt online for each drafter, by depth, rank, the drafter's own
/// confidence, and whether another drafter proposes the same.</summary>
/// <remarks>What one drafter proposes and the others do not is right far less often than it is on the whole: they are unsure at the same
/// places, and where they are sure of something else one of them is wrong. So the two cases are counted apart. Counts fade, so that the estimate follows the text. A cell that has seen little leans on its drafter's counts at that
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
    public const int CountsPerDrafter = 2 * (Confidences + CellsPerDrafter);

    private readonly Count[] _cells = new Count[drafters * 2 * CellsPerDrafter];     // [drafters, alone or agreed, cells]
    private readonly Count[] _drafterCells = new Count[drafters * 2 * Confidences]; // [drafters, alone or agreed, confidences]

    /// <summary>The probability that a proposal is right if its parent is.</summary>
    public double Estimate(int drafter, int depth, int rank, float confidence, bool isAgreed = false)
    {
        var prior = confidence > 0 ? confidence : UnknownPrior;
        var wide = _drafterCells[WideIndex(drafter, confidence, isAgreed)].Mean(rank == 0 ? prior : prior / 2, PriorWeight);
        return _cells[Index(drafter, depth, rank, confidence, isAgreed)].Mean(wide, PriorWeight);
    }

    /// <summary>Learns whether a proposal was right, its parent having been so.</summary>
    public void Observe(int drafter, int depth, int rank, float confidence, bool right, bool isAgreed = false)
    {
        _cells[Index(drafter, depth, rank, confidence, isAgreed)].Add(right, Fade);
        _drafterCells[WideIndex(drafter, confidence, isAgreed)].Add(right, Fade);
    }

    /// <summary>What is known about a drafter, for a profile: [2·8 + 2·160] counts, those of its confidences first, of each those of what it proposed alone.</summary>
    public (double Right, double All)[] Export(int drafter)
        => [.. Wide(drafter).ToArray().Concat(Cells(drafter).ToArray()).Select(count => count.Values)];

    /// <summary>Begins with what a profile knows about a drafter. It counts as a few observations, so that it gives way to the text soon.</summary>
    public void Import(int drafter, ReadOnlySpan<(double Right, double All)> counts)
    {
        for (var i = 0; i < CountsPerDrafter; i++)
        {
            var count = new Count(counts[i].Right, counts[i].All, RememberedWeight);
            (i < 2 * Confidences ? ref Wide(drafter)[i] : ref Cells(drafter)[i - (2 * Confidences)]) = count;
        }
    }

    private Span<Count> Wide(int drafter) => _drafterCells.AsSpan(drafter * 2 * Confidences, 2 * Confidences);

    private Span<Count> Cells(int drafter) => _cells.AsSpan(drafter * 2 * CellsPerDrafter, 2 * CellsPerDrafter);

    private static int WideIndex(int drafter, float confidence, bool isAgreed) => (Case(drafter, isAgreed) * Confidences) + ConfidenceBucket(confidence);

    private static int Index(int drafter, int depth, int rank, float confidence, bool isAgreed)
        => (((((Case(drafter, isAgreed) * Depths) + DepthBucket(depth)) * Ranks) + Math.Min(rank, Ranks - 1)) * Confidences) + ConfidenceBucket(confidence);

    private static int Case(int drafter, bool isAgreed) => (2 * drafter) + (isAgreed ? 1 : 0);

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
