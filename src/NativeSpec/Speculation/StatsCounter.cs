using System.Diagnostics;

namespace NativeSpec.Speculation;

/// <summary>Counts one sequence's speculation; no allocation per round.</summary>
internal sealed class StatsCounter(IReadOnlyList<string> drafters)
{
    private const int MaxPositions = 64;

    private readonly int[] _positions = new int[MaxPositions];
    private readonly DrafterCount[] _drafters = [.. drafters.Select(_ => new DrafterCount())];

    public int Rounds { get; set; }

    public int Drafted { get; set; }

    public int Probes { get; set; }

    public int Emitted { get; set; }

    public long DraftTicks { get; set; }

    public long PlanTicks { get; set; }

    public long VerifyTicks { get; set; }

    public bool IsLossy { get; init; }

    public DrafterCount Of(int drafter) => _drafters[drafter];

    public void Accept(int depth) => _positions[Math.Min(depth, MaxPositions) - 1]++;

    public SpeculationStats ToStats() => new()
    {
        Rounds = Rounds,
        Drafted = Drafted,
        Accepted = _positions.Sum(),
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
            Drafted = count.Drafted,
            Accepted = count.Positions.Sum(),
            AcceptedPerPosition = Trim(count.Positions),
            Time = Time(count.Ticks),
        })],
    };

    private static TimeSpan Time(long ticks) => TimeSpan.FromSeconds((double)ticks / Stopwatch.Frequency);

    private static int[] Trim(int[] positions) => positions[..(Array.FindLastIndex(positions, count => count > 0) + 1)];

    internal sealed class DrafterCount
    {
        public int Rounds { get; set; }

        public int Proposed { get; set; }

        public int Drafted { get; set; }

        public long Ticks { get; set; }

        public int[] Positions { get; } = new int[MaxPositions];

        public void Accept(int depth) => Positions[Math.Min(depth, MaxPositions) - 1]++;
    }
}
