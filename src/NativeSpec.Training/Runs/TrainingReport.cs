namespace NativeSpec.Training.Runs;

/// <summary>Where a run stands, told after every step.</summary>
public sealed record TrainingReport
{
    /// <summary>Steps done, of the whole run.</summary>
    public required long Step { get; init; }

    /// <summary>Steps of the whole run.</summary>
    public required long Steps { get; init; }

    /// <summary>Loss of the step's batch, nats per token.</summary>
    public required double Loss { get; init; }

    /// <summary>The last held-out loss; null before the first.</summary>
    public required double? HeldOutLoss { get; init; }

    /// <summary>Tokens learnt from in a second, since this process began.</summary>
    public required double TokensPerSecond { get; init; }

    /// <summary>Multiplications and additions in a second, in matmuls and attention, since this process began.</summary>
    public required double OperationsPerSecond { get; init; }

    /// <summary>These as a share of the fastest matmul's, which is measured again about every half second: the median until now.</summary>
    public required double ShareOfPeak { get; init; }

    /// <summary>Time left at this pace.</summary>
    public required TimeSpan Remaining { get; init; }
}

/// <summary>How good something is on text that was not learnt from.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Loss">Nats per token.</param>
/// <param name="Accuracy">Share of the tokens where the likeliest one is right, or is the teacher's choice.</param>
public readonly record struct Measurement(string Name, double Loss, double Accuracy);

/// <summary>What a run came to.</summary>
public sealed record TrainingResult
{
    /// <summary>Steps done, of the whole run; fewer than asked for when it ended early.</summary>
    public required long Steps { get; init; }

    /// <summary>Mean training loss of the last steps.</summary>
    public required double Loss { get; init; }

    /// <summary>The held-out measurements of what was written; empty without held-out text.</summary>
    public required IReadOnlyList<Measurement> HeldOut { get; init; }

    /// <summary>Whether the run ended because the held-out loss no longer fell.</summary>
    public required bool EndedEarly { get; init; }

    /// <summary>Numbers that were learnt.</summary>
    public required long Parameters { get; init; }

    /// <summary>Multiplications and additions in a second, in matmuls and attention; 0 where no step was left to do.</summary>
    public required double OperationsPerSecond { get; init; }

    /// <summary>These as a share of the fastest matmul's, which was measured again about every half second: the median.</summary>
    public required double ShareOfPeak { get; init; }
}

/// <summary>The loss or the gradient is no longer a number. The last checkpoint is as it was.</summary>
/// <param name="message">At which step, and what to do.</param>
public sealed class TrainingDivergedException(string message) : Exception(message);
