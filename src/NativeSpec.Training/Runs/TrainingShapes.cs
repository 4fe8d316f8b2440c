namespace NativeSpec.Training.Runs;

/// <summary>The shape of a model that is to be trained. Its vocabulary is the tokenizer's, its context that of the training, and its
/// embedding is also its output matrix.</summary>
public sealed record ModelShape
{
    /// <summary>Width of the residual stream.</summary>
    public int Hidden { get; init; } = 192;

    /// <summary>Decoder layers.</summary>
    public int Layers { get; init; } = 6;

    /// <summary>Query heads; the width of a head is Hidden / Heads.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>Key and value heads, of which Heads is a multiple.</summary>
    public int KvHeads { get; init; } = 3;

    /// <summary>Width of the feed-forward layer.</summary>
    public int Intermediate { get; init; } = 512;

    /// <summary>What is usual for a draft: a sixth of the default model's numbers.</summary>
    public static ModelShape Draft { get; } = new() { Hidden = 64, Layers = 2, Heads = 2, KvHeads = 1, Intermediate = 192 };
}

/// <summary>How Medusa heads are trained.</summary>
public sealed record MedusaTraining
{
    /// <summary>Heads; head h, counted from 0, learns the token h + 1 places behind the model's next one.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Whether the model learns too (Medusa-2); otherwise it stays as it is (Medusa-1).</summary>
    public bool LearnModel { get; init; }

    /// <summary>Tokens that the model writes itself, from the beginnings of the corpus's documents, to learn from in their place; null for the
    /// corpus as it is. Held-out text is the corpus's own in either case.</summary>
    public long? SelfGenerated { get; init; }

    /// <summary>Medusa-2: the model's learning rate, as a share of the heads'.</summary>
    public double ModelRateFactor { get; init; } = 0.25;

    /// <summary>Medusa-2: steps in which the heads alone learn.</summary>
    public long HeadWarmup { get; init; } = 100;

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentException">A value is impossible; the message has them all.</exception>
    internal void Validate()
    {
        if (Heads is < 1 or > 16 || SelfGenerated is < 1 || ModelRateFactor is not (> 0 and <= 1) || HeadWarmup < 0)
        {
            throw new ArgumentException($"{this}: expected 1 to 16 heads, 1 self-generated token or more, a model's rate above 0 and at most 1, "
                + "and a warm-up of 0 steps or more");
        }
    }
}
