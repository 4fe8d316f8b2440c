namespace NativeSpec.Speculation;

/// <summary>What speculation did for one text.</summary>
public sealed record SpeculationStats
{
    /// <summary>Forwards after the prompt.</summary>
    public required int Rounds { get; init; }

    /// <summary>Candidates computed, probes not counted.</summary>
    public required int Drafted { get; init; }

    /// <summary>Candidates accepted.</summary>
    public required int Accepted { get; init; }

    /// <summary>Tokens written in those rounds: one per round that the target chose, and the accepted ones.</summary>
    public required int Emitted { get; init; }

    /// <summary>Nodes computed only to be looked through.</summary>
    public required int Probes { get; init; }

    /// <summary>[depth − 1] candidates accepted at each depth.</summary>
    public required IReadOnlyList<int> AcceptedPerPosition { get; init; }

    /// <summary>Time spent proposing.</summary>
    public required TimeSpan DraftTime { get; init; }

    /// <summary>Time spent choosing candidates.</summary>
    public required TimeSpan PlanTime { get; init; }

    /// <summary>Time of the forwards, shared with the sequences that were computed beside this one.</summary>
    public required TimeSpan VerifyTime { get; init; }

    /// <summary>Whether acceptance was typical, and the text therefore not the model's.</summary>
    public required bool IsLossy { get; init; }

    /// <summary>Each drafter's part; a candidate that several proposed counts for each.</summary>
    public required IReadOnlyList<DrafterStats> Drafters { get; init; }

    /// <summary>Tokens per forward; 1 is plain decoding.</summary>
    public double TokensPerRound => Rounds == 0 ? 0 : (double)Emitted / Rounds;

    /// <summary>Share of the computed candidates that were accepted.</summary>
    public double AcceptanceRate => Drafted == 0 ? 0 : (double)Accepted / Drafted;
}

/// <summary>What one drafter did for one text.</summary>
public sealed record DrafterStats
{
    /// <summary>The drafter.</summary>
    public required string Name { get; init; }

    /// <summary>Rounds in which it was asked.</summary>
    public required int Rounds { get; init; }

    /// <summary>Candidates it proposed.</summary>
    public required int Proposed { get; init; }

    /// <summary>Of those, computed.</summary>
    public required int Drafted { get; init; }

    /// <summary>Of those, accepted.</summary>
    public required int Accepted { get; init; }

    /// <summary>[depth − 1] accepted at each depth.</summary>
    public required IReadOnlyList<int> AcceptedPerPosition { get; init; }

    /// <summary>Time it took to propose and to learn.</summary>
    public required TimeSpan Time { get; init; }
}
