namespace NativeSpec.Backends;

/// <summary>What a batch and a cache must be for a plan, looked at once a run, so that no kernel needs to.</summary>
internal sealed class BatchCheck
{
    private readonly ForwardPlan _plan;
    private readonly AttentionPlan[] _attention; // one a layer
    private readonly int[] _rotaryDims;          // each once
    private readonly bool _appends, _attends;
    private readonly int _tokens = int.MaxValue;

    /// <summary>Collects what a plan asks of its batches.</summary>
    public BatchCheck(ForwardPlan plan)
    {
        _plan = plan;
        List<AttentionPlan> attention = [];
        List<int> rotaryDims = [];
        foreach (var step in plan.Steps)
        {
            switch (step)
            {
                case RopeStep rope:
                    _appends = true;
                    Take(rope.Attention);
                    if (rope.Attention.RotaryDim is > 0 and var rotated && !rotaryDims.Contains(rotated))
                    {
                        rotaryDims.Add(rotated);
                    }

                    break;
                case AttendStep attend:
                    _attends = true;
                    Take(attend.Attention);
                    break;
                case EmbedStep embed:
                    _tokens = Math.Min(_tokens, embed.Table.OutFeatures);
                    break;
                default:
                    break;
            }
        }

        (_attention, _rotaryDims) = ([.. attention], [.. rotaryDims]);

        void Take(AttentionPlan one)
        {
            if (attention.Count == 0 || attention[^1] != one)
            {
                attention.Add(one); // a layer's rotation and its attention name the same
            }
        }
    }

    /// <summary>Refuses a batch that outgrows the plan, or points outside a table or the cache.</summary>
    /// <exception cref="ArgumentException">It does.</exception>
    public void Require(RowBatch batch, BackendKv? kv)
    {
        if (batch.Count > _plan.MaxRows || batch.LogitCount > _plan.MaxLogitRows)
        {
            throw new ArgumentException($"a batch of {batch.Count} rows, {batch.LogitCount} of them with logits; this program takes {_plan.MaxRows} and {_plan.MaxLogitRows}", nameof(batch));
        }

        foreach (var attention in _attention)
        {
            RequireFit(attention, kv);
        }

        batch.Require(_tokens);
        if (_appends)
        {
            RequireAngles(batch, kv!);
            batch.RequireKvRows(kv!.Shape.Rows);
        }

        if (_attends)
        {
            batch.RequireSight(kv!.Shape.Rows);
        }
    }

    /// <summary>Whether rows turn.</summary>
    public bool Rotates => _rotaryDims.Length > 0;

    /// <summary>Refuses a batch whose rows, as far as there are some, have no angles, or those of another width, or stand behind what the cache can hold, for
    /// which a device has none.</summary>
    /// <exception cref="ArgumentException">They have not.</exception>
    public void RequireAngles(RowBatch batch, BackendKv kv)
    {
        foreach (var rotated in _rotaryDims)
        {
            batch.RequireAngles(rotated, kv.Shape.Rows);
        }
    }

    private static void RequireFit(AttentionPlan attention, BackendKv? kv)
    {
        var shape = kv?.Shape ?? throw new ArgumentNullException(nameof(kv), "this program attends to keys and values");
        if (attention.Layer >= shape.Layers || (attention.Heads, attention.KvHeads, attention.HeadDim) != (shape.Heads, shape.KvHeads, shape.HeadDim))
        {
            throw new ArgumentException($"{attention} does not fit a cache of {shape}", nameof(kv));
        }
    }
}
