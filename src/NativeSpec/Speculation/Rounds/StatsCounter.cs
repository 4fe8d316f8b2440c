using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>Counts one sequence's speculation; no allocation per round.</summary>
/// <param name="drafters">Names of its drafters.</param>
/// <param name="ticksPerSecond">The unit of the times.</param>
internal sealed class StatsCounter(IReadOnlyList<string> drafters, long ticksPerSecond)
{
    private const int MaxPositions = 64;
    private const int MaxRanks = 16;

    private readonly int[] _positions = new int[MaxPositions];
    private readonly DrafterCount[] _drafters = [.. drafters.Select(_ => new DrafterCount())];

    /// <summary>The drafters' names.</summary>
    public IReadOnlyList<string> Names => drafters;

    /// <summary>[depth − 1] candidates that became text; the last counts those of all greater depths too.</summary>
    public IReadOnlyList<int> Positions => _positions;

    /// <summary>Candidates that became text.</summary>
    public int Accepted => Sum(_positions);

    public int Rounds { get; private set; }

    /// <summary>Rounds in which a candidate was computed.</summary>
    public int RoundsDrafted { get; private set; }

    public int Drafted { get; private set; }

    public int Probes { get; private set; }

    public int Emitted { get; private set; }

    public long DraftTicks { get; set; }

    public long PlanTicks { get; set; }

    public long VerifyTicks { get; private set; }

    public bool IsLossy { get; init; }

    public DrafterCount Of(int drafter) => _drafters[drafter];

    /// <summary>Counts a round in which the sequence decoded.</summary>
    public void CountRound(WalkResult round, long forwardTicks)
    {
        Rounds++;
        Emitted += round.Emitted.Length;
        VerifyTicks += forwardTicks;
        var (tree, before) = (round.Tree, Drafted);
        for (var node = 1; node < tree.Count; node++)
        {
            if (!round.WasComputed(node))
            {
                continue;
            }

            Probes += tree.IsProbe(node) ? 1 : 0;
            Drafted += tree.IsProbe(node) ? 0 : 1;
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                Of(tree.ProposalAt(i).Drafter).Drafted[Position(tree.Depth(node))]++;
            }
        }

        RoundsDrafted += Drafted > before ? 1 : 0;
        foreach (var node in round.AcceptedPath[1..])
        {
            var position = Position(tree.Depth(node));
            _positions[position]++;
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                Of(tree.ProposalAt(i).Drafter).Accepted[position]++;
            }
        }
    }

    public SpeculationStats ToStats() => new()
    {
        Rounds = Rounds,
        Drafted = Drafted,
        Accepted = Accepted,
        Emitted = Emitted,
        Probes = Probes,
        AcceptedPerPosition = Trim(_positions),
        DraftTime = Time(DraftTicks),
        PlanTime = Time(PlanTicks),
        VerifyTime = Time(VerifyTicks),
        IsLossy = IsLossy,
        Drafters = [.. _drafters.Select((count, i) => new DrafterStats
        {
            Name = drafters[i],
            Rounds = count.Rounds,
            Proposed = count.Proposed,
            Drafted = Sum(count.Drafted),
            Accepted = Sum(count.Accepted),
            AcceptedPerPosition = Trim(count.Accepted),
            Ranks = count.ToRanks(),
            Time = Time(count.Ticks),
        })],
    };

    private TimeSpan Time(long ticks) => TimeSpan.FromSeconds((double)ticks / ticksPerSecond);

    /// <summary>Where candidates of a depth are counted: the last position has all greater depths too.</summary>
    private static int Position(int depth) => Math.Min(depth, MaxPositions) - 1;

    private static int Sum(int[] positions)
    {
        var sum = 0;
        foreach (var count in positions)
        {
            sum += count;
        }

        return sum;
    }

    private static int[] Trim(int[] positions)
    {
        var length = positions.Length;
        while (length > 0 && positions[length - 1] == 0)
        {
            length--;
        }

        return positions.AsSpan(0, length).ToArray();
    }

    internal sealed class DrafterCount
    {
        private readonly RankCount[] _ranks = new RankCount[MaxRanks * MaxRanks];

        public int Rounds { get; set; }

        public int Proposed { get; set; }

        public long Ticks { get; set; }

        /// <summary>[depth − 1] its candidates that were computed; the last has all greater depths too.</summary>
        public int[] Drafted { get; } = new int[MaxPositions];

        /// <summary>[depth − 1] of those, the ones that became text.</summary>
        public int[] Accepted { get; } = new int[MaxPositions];

        /// <summary>Counts a candidate of which it is known whether it was right; places and ranks beyond those kept are not counted.</summary>
        public void Judge(int depth, int rank, bool right)
        {
            if (depth <= MaxRanks && rank < MaxRanks)
            {
                ref var count = ref _ranks[((depth - 1) * MaxRanks) + rank];
                count = new RankCount(count.Judged + 1, count.Right + (right ? 1 : 0));
            }
        }

        public IReadOnlyList<IReadOnlyList<RankCount>> ToRanks()
        {
            List<IReadOnlyList<RankCount>> depths = [];
            var last = 0;
            for (var depth = 0; depth < MaxRanks; depth++)
            {
                var length = MaxRanks;
                while (length > 0 && _ranks[(depth * MaxRanks) + length - 1].Judged == 0)
                {
                    length--;
                }

                var ranks = new RankCount[length];
                Array.Copy(_ranks, depth * MaxRanks, ranks, 0, length);
                depths.Add(ranks);
                last = length > 0 ? depth + 1 : last;
            }

            depths.RemoveRange(last, depths.Count - last);
            return depths;
        }
    }
}
