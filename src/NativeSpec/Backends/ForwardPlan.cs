namespace NativeSpec.Backends;

/// <summary>A forward as data: what is computed of what, top-down, as the paper reads. A backend compiles it: the managed one interprets the steps, the
/// native one runs them in one call, a device records them once and replays them.</summary>
/// <remarks>
/// <para>A value (<see cref="Rows"/>) is a matrix with a row for each row of the batch. It is a name, not memory: which values share memory is the
/// program's affair (<see cref="BufferLayout"/>), and only those that are kept can be read afterwards.</para>
/// <para>Every step is <b>batch-invariant</b>: the bits of a row's result depend on that row's inputs alone, never on how many rows stand
/// beside it (docs/architecture.md says what this buys and what it forbids).</para>
/// </remarks>
/// <param name="maxRows">Most rows of a batch.</param>
/// <param name="maxLogitRows">Most of them whose logits are wanted.</param>
internal sealed class ForwardPlan(int maxRows, int maxLogitRows)
{
    private readonly List<PlanStep> _steps = [];
    private readonly List<Rows> _values = [];
    private readonly HashSet<Rows> _kept = [];

    /// <summary>Most rows of a batch.</summary>
    public int MaxRows { get; } = maxRows;

    /// <summary>Most rows whose logits are wanted.</summary>
    public int MaxLogitRows { get; } = maxLogitRows;

    /// <summary>Positions that a sequence has at most, where the plan attends; 0 for as many as the cache has rows.</summary>
    public int MaxContext { get; init; }

    /// <summary>What is computed, in order.</summary>
    public IReadOnlyList<PlanStep> Steps => _steps;

    /// <summary>The logits that a device is to answer questions about (<see cref="IRowAnswers"/>); null for none.</summary>
    public Rows? Asked { get; private set; }

    /// <summary>All values, by their number.</summary>
    public IReadOnlyList<Rows> Values => _values;

    /// <summary>A value that is put in before a run.</summary>
    public Rows Input(int width) => Keep(NewRows(width, RowSet.All));

    /// <summary>x[row] = table[token[row]] · multiplier.</summary>
    public Rows Embed(BackendWeight table, float multiplier = 1)
    {
        var into = NewRows(table.InFeatures, RowSet.All);
        _steps.Add(new EmbedStep(table, into, multiplier));
        return into;
    }

    /// <summary>y[row] = x[row] / sqrt(mean(x[row]²) + eps) · gain; onto <paramref name="x"/> itself where <paramref name="into"/> says so.</summary>
    public Rows Normalize(Rows x, RmsGain norm, Rows? into = null)
    {
        RequireWidth(x, norm.Width, "a norm");
        into ??= NewRows(x.Width, x.Of);
        RequireWidth(into, x.Width, "the result of a norm");
        _steps.Add(new NormStep(x, norm, into));
        return into;
    }

    /// <summary>Projects rows: p = W norm(x) + bias, and then what <paramref name="epilogue"/> says.</summary>
    /// <param name="x">[rows, in]</param>
    /// <param name="weight">[out, in]</param>
    /// <param name="norm">The norm before it; null for none.</param>
    /// <param name="epilogue">What becomes of p · <paramref name="multiplier"/>.</param>
    /// <param name="into">The value that is added to; null makes a new one. May be <paramref name="x"/>.</param>
    /// <param name="multiplier">A factor of p, such as a model's residual or logit multiplier.</param>
    /// <returns>[rows, out], or half as wide after <see cref="Epilogue.SwiGlu"/>.</returns>
    public Rows Project(Rows x, BackendWeight weight, RmsGain? norm = null, Epilogue epilogue = Epilogue.Store, Rows? into = null, float multiplier = 1)
    {
        RequireWidth(x, weight.InFeatures, "a projection");
        if (norm is { } before)
        {
            RequireWidth(x, before.Width, "a norm");
        }

        var width = epilogue == Epilogue.SwiGlu ? weight.OutFeatures / 2 : weight.OutFeatures;
        into ??= epilogue is Epilogue.Add or Epilogue.AddSilu
            ? throw new ArgumentNullException(nameof(into), $"{epilogue} adds to a value that is there")
            : NewRows(width, x.Of);
        RequireWidth(into, width, "the result of a projection");
        _steps.Add(new ProjectStep(x, weight, norm, epilogue, into, multiplier));
        return into;
    }

    /// <summary>Norms each head of q and k where the attention says so, then rotates its first rotaryDim elements by the batch's angles (pairs
    /// (i, i + rotaryDim/2), as Hugging Face lays them out); q stays, k and v go to their cache rows of the layer. qkv is
    /// [rows, (heads + 2·kvHeads)·headDim].</summary>
    public void RopeAppend(Rows qkv, AttentionPlan attention)
    {
        RequireWidth(qkv, attention.QkvWidth, "a rotation");
        foreach (var norm in new[] { attention.QNorm, attention.KNorm })
        {
            if (norm is { } gain && (gain.Width != attention.HeadDim || gain.Epsilon != attention.Epsilon))
            {
                throw new ArgumentException($"a norm of {gain.Width} with {gain.Epsilon} for heads of {attention.HeadDim} with {attention.Epsilon}", nameof(attention));
            }
        }

        if (attention.RotaryDim < 0 || attention.RotaryDim > attention.HeadDim || attention.RotaryDim % 2 != 0)
        {
            throw new ArgumentException($"{attention.RotaryDim} elements of a head are rotated; expected an even number from 0 to {attention.HeadDim}", nameof(attention));
        }

        _steps.Add(new RopeStep(qkv, attention));
    }

    /// <summary>Each row attends to the committed prefix, its ancestors and itself, with a window to the last of these: softmax(q Kᵀ · scale) V.</summary>
    /// <returns>[rows, heads·headDim]</returns>
    public Rows Attend(Rows qkv, AttentionPlan attention)
    {
        RequireWidth(qkv, attention.QkvWidth, "attention");
        ArgumentOutOfRangeException.ThrowIfNegative(attention.Window);
        var into = NewRows(attention.Heads * attention.HeadDim, qkv.Of);
        _steps.Add(new AttendStep(qkv, attention, into));
        return into;
    }

    /// <summary>y[i] = x[<see cref="RowBatch.LogitRows"/>[i]]: from here on only rows whose logits are wanted.</summary>
    public Rows GatherLogitRows(Rows x)
    {
        var into = NewRows(x.Width, RowSet.Logits);
        _steps.Add(new GatherStep(x, into));
        return into;
    }

    /// <summary>A layer begins: here a processor looks at the cancellation.</summary>
    public void LayerBegins() => _steps.Add(new LayerStep());

    /// <summary>Marks a value as readable after a run.</summary>
    public Rows Keep(Rows value)
    {
        _kept.Add(value);
        return value;
    }

    /// <summary>Keeps logits, and says that questions will be asked about them; a program that can answers where they lie.</summary>
    public Rows Ask(Rows logits) => Asked = Keep(logits);

    /// <summary>Whether a value can be read after a run.</summary>
    public bool IsKept(Rows value) => _kept.Contains(value);

    private static void RequireWidth(Rows x, long width, string what)
    {
        if (x.Width != width)
        {
            throw new ArgumentException($"{what} of rows of {width} floats; these have {x.Width}");
        }
    }

    private Rows NewRows(int width, RowSet of)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        var rows = new Rows(_values.Count, width, of);
        _values.Add(rows);
        return rows;
    }
}
