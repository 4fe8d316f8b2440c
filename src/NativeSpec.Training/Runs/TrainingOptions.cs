namespace NativeSpec.Training.Runs;

/// <summary>How a run learns.</summary>
public sealed record TrainingOptions
{
    /// <summary>Steps of the whole run; null for <see cref="Epochs"/>.</summary>
    public long? Steps { get; init; }

    /// <summary>How often the whole text is seen, where <see cref="Steps"/> is null.</summary>
    public double Epochs { get; init; } = 3;

    /// <summary>Positions of a training sequence.</summary>
    public int Context { get; init; } = 256;

    /// <summary>Sequences of a batch.</summary>
    public int Sequences { get; init; } = 8;

    /// <summary>The highest learning rate.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Steps in which the learning rate rises to its peak.</summary>
    public long Warmup { get; init; } = 100;

    /// <summary>How strongly matrices are pulled to zero.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Longest gradient; a longer one is scaled down to it.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Decides the first weights and the order of the text. Equal seeds give equal runs on one machine.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Steps between two measurements of the held-out loss.</summary>
    public long EvaluateEvery { get; init; } = 100;

    /// <summary>Most held-out tokens that such a measurement predicts.</summary>
    public long EvaluationTokens { get; init; } = 32768;

    /// <summary>Measurements without a better held-out loss after which the run ends early; null for never.</summary>
    public int? Patience { get; init; }

    /// <summary>Steps between two checkpoints.</summary>
    public long CheckpointEvery { get; init; } = 100;

    /// <summary>Whether a run that stopped is taken up where its last checkpoint stands.</summary>
    public bool Resume { get; init; }

    /// <summary>Threads that compute; null for all that the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentException">A value is impossible; the message names it.</exception>
    internal void Validate()
    {
        Require(Steps is null or >= 1, nameof(Steps), Steps, "1 or more");
        Require(double.IsFinite(Epochs) && Epochs > 0, nameof(Epochs), Epochs, "a number above 0");
        Require(Context is >= 2 and <= 1 << 20, nameof(Context), Context, "2 to 1048576");
        Require(Sequences is >= 1 and <= 1 << 16, nameof(Sequences), Sequences, "1 to 65536");
        Require(LearningRate is > 0 and <= 10, nameof(LearningRate), LearningRate, "above 0 and at most 10");
        Require(Warmup >= 0, nameof(Warmup), Warmup, "0 or more");
        Require(WeightDecay is >= 0 and <= 10, nameof(WeightDecay), WeightDecay, "0 to 10");
        Require(ClipNorm > 0, nameof(ClipNorm), ClipNorm, "a number above 0");
        Require(EvaluateEvery >= 1, nameof(EvaluateEvery), EvaluateEvery, "1 or more");
        Require(EvaluationTokens >= 1, nameof(EvaluationTokens), EvaluationTokens, "1 or more");
        Require(Patience is null or >= 1, nameof(Patience), Patience, "1 or more");
        Require(CheckpointEvery >= 1, nameof(CheckpointEvery), CheckpointEvery, "1 or more");
    }

    private static void Require(bool holds, string name, object? value, string expected)
    {
        if (!holds)
        {
            throw new ArgumentException(FormattableString.Invariant($"{nameof(TrainingOptions)}.{name} is {value}; expected {expected}"));
        }
    }
}
