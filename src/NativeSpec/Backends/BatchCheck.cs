namespace NativeSpec.Backends;

/// <summary>What a batch and a cache must be for a plan, looked at once a run, so that no kernel needs to.</summary>
internal sealed class BatchCheck(ForwardPlan plan)
{
    private readonly AttentionPlan[] _attention =
        [.. plan.Steps.OfType<RopeStep>().Select(step => step.Attention).Concat(plan.Steps.OfType<AttendStep>().Select(step => step.Attention)).Distinct()];

    private readonly int[] _rotaryDims = [.. plan.Steps.OfType<RopeStep>().Select(step => step.Attention.RotaryDim).Where(rotated => rotated > 0).Distinct()];
    private readonly bool _appends = plan.Steps.OfType<RopeStep>().Any();
    private readonly bool _attends = plan.Steps.OfType<AttendStep>().Any();
    private readonly int _tokens = plan.Steps.OfType<EmbedStep>().Select(step => step.Table.OutFeatures).DefaultIfEmpty(int.MaxValue).Min();

    /// <summary>Refuses a batch that outgrows the plan, or points outside a table or the cache.</summary>
    /// <exception cref="ArgumentException">It does.</exception>
    public void Require(RowBatch batch, BackendKv? kv)
    {
        if (batch.Count > plan.MaxRows || batch.LogitCount > plan.MaxLogitRows)
        {
            throw new ArgumentException($"a batch of {batch.Count} rows, {batch.LogitCount} of them with logits; this program takes {plan.MaxRows} and {plan.MaxLogitRows}", nameof(batch));
        }

        foreach (var attention in _attention)
        {
            RequireFit(attention, kv);
        }

        batch.Require(_tokens);
        if (_appends)
        {
            foreach (var rotated in _rotaryDims)
            {
                ArgumentOutOfRangeException.ThrowIfNotEqual(batch.RotaryDim, rotated);
            }

            batch.RequireKvRows(kv!.Shape.Rows);
        }

        if (_attends)
        {
            batch.RequireSight(kv!.Shape.Rows);
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
