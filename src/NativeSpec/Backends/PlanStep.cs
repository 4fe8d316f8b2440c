namespace NativeSpec.Backends;

/// <summary>Which rows of a batch a value has.</summary>
internal enum RowSet
{
    /// <summary>All.</summary>
    All = 0,
    /// <summary>Those whose logits are wanted, in the order of <see cref="RowBatch.LogitRows"/>.</summary>
    Logits = 1,
}

/// <summary>What becomes of a projection p.</summary>
internal enum Epilogue
{
    /// <summary>y = p</summary>
    Store = 0,
    /// <summary>y += p: a residual connection.</summary>
    Add = 1,
    /// <summary>y = silu(gate) · up, where p is gate then up (Shazeer, 2020).</summary>
    SwiGlu = 2,
    /// <summary>y += silu(p): the residual block of a Medusa head (Cai et al., 2024).</summary>
    AddSilu = 3,
}

/// <summary>A value of a plan: a row of floats for each row of the batch.</summary>
/// <param name="Number">Its number in the plan.</param>
/// <param name="Width">Floats of a row.</param>
/// <param name="Of">Which rows it has.</param>
internal sealed record Rows(int Number, int Width, RowSet Of);

/// <summary>An RMSNorm: the gain [width] and what is added to the mean square.</summary>
internal sealed record RmsGain(BackendVector Gain, float Epsilon)
{
    /// <summary>Width of a row.</summary>
    public long Width => Gain.Length;
}

/// <summary>Attention of one layer, as its two steps need it. What a family of models has besides its heads (a window, norms of q and k, a rotated
/// part of a head) is a property.</summary>
/// <param name="Layer">The layer of the cache.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key-value heads; <paramref name="Heads"/> is a multiple of it.</param>
/// <param name="HeadDim">Width of a head.</param>
internal sealed record AttentionPlan(int Layer, int Heads, int KvHeads, int HeadDim)
{
    /// <summary>What scores are multiplied by before the softmax; 1/√headDim where a model says nothing.</summary>
    public float Scale { get; init; } = 1f / MathF.Sqrt(HeadDim);

    /// <summary>Elements of a head that are rotated, from its first on: even; 0 rotates nothing.</summary>
    public int RotaryDim { get; init; } = HeadDim;

    /// <summary>Positions that a row sees at most, its own the last; 0 for all.</summary>
    public int Window { get; init; }

    /// <summary>The norm of each head of q before the rotation, [headDim]; null for none.</summary>
    public RmsGain? QNorm { get; init; }

    /// <summary>The norm of each head of k before the rotation, [headDim]; null for none. Its epsilon is that of <see cref="QNorm"/>.</summary>
    public RmsGain? KNorm { get; init; }

    /// <summary>What the norms of q and k add to the mean square.</summary>
    public float Epsilon => (QNorm ?? KNorm)?.Epsilon ?? 0;

    /// <summary>Width of a row of q, k and v.</summary>
    public int QkvWidth => (Heads + (2 * KvHeads)) * HeadDim;

    /// <summary>The first position that a row at a position sees.</summary>
    public int FirstSeen(int position) => Window == 0 ? 0 : Math.Max(0, position + 1 - Window);
}

/// <summary>One step of a plan; <see cref="ForwardPlan"/>'s method of the like name has the formula.</summary>
internal abstract record PlanStep
{
    /// <summary>The value that is read; null where the batch is.</summary>
    public virtual Rows? Reads => null;

    /// <summary>The value that is written or added to.</summary>
    public virtual Rows? Writes => null;
}

/// <summary>See <see cref="ForwardPlan.Embed"/>.</summary>
internal sealed record EmbedStep(BackendWeight Table, Rows Into, float Multiplier) : PlanStep
{
    public override Rows Writes => Into;
}

/// <summary>See <see cref="ForwardPlan.Normalize"/>.</summary>
internal sealed record NormStep(Rows X, RmsGain Norm, Rows Into) : PlanStep
{
    public override Rows Reads => X;

    public override Rows Writes => Into;
}

/// <summary>See <see cref="ForwardPlan.Project"/>.</summary>
internal sealed record ProjectStep(Rows X, BackendWeight Weight, RmsGain? Norm, Epilogue Epilogue, Rows Into, float Multiplier) : PlanStep
{
    public override Rows Reads => X;

    public override Rows Writes => Into;

    /// <summary>The projection itself is not what is stored: a backend needs room for it.</summary>
    public bool NeedsRoom => Epilogue is Epilogue.SwiGlu or Epilogue.AddSilu;
}

/// <summary>See <see cref="ForwardPlan.RopeAppend"/>.</summary>
internal sealed record RopeStep(Rows Qkv, AttentionPlan Attention) : PlanStep
{
    public override Rows Reads => Qkv;

    public override Rows Writes => Qkv;
}

/// <summary>See <see cref="ForwardPlan.Attend"/>.</summary>
internal sealed record AttendStep(Rows Qkv, AttentionPlan Attention, Rows Into) : PlanStep
{
    public override Rows Reads => Qkv;

    public override Rows Writes => Into;
}

/// <summary>See <see cref="ForwardPlan.GatherLogitRows"/>.</summary>
internal sealed record GatherStep(Rows X, Rows Into) : PlanStep
{
    public override Rows Reads => X;

    public override Rows Writes => Into;
}

/// <summary>See <see cref="ForwardPlan.LayerBegins"/>.</summary>
internal sealed record LayerStep : PlanStep;
