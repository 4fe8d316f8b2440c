namespace NativeSpec.Backends.Native;

/// <summary>A plan as the native library runs it: the whole forward is one call.</summary>
internal sealed unsafe class NativeProgram : HostProgram
{
    private readonly NativeProgramHandle _handle;
    private readonly int[] _cancelled = GC.AllocateArray<int>(1, pinned: true);

    public NativeProgram(ForwardPlan plan, NativeBackendHandle backend)
        : base(plan, [backend])
    {
        var steps = new NativeStep[plan.Steps.Count];
        for (var i = 0; i < steps.Length; i++)
        {
            steps[i] = Translate(plan.Steps[i]);
        }

        var room = new NativeRoom { Rows = plan.MaxRows, LogitRows = plan.MaxLogitRows, Normed = Normed.Pointer, Projected = Room.Pointer };
        fixed (NativeStep* first = steps)
        {
            NativeMethods.Check(NativeMethods.CreateProgram(backend, first, steps.Length, &room, out _handle));
        }
    }

    public override void Dispose()
    {
        _handle.Dispose();
        base.Dispose();
    }

    protected override void Execute(RowBatch batch, BackendKv? kv, CancellationToken cancellationToken)
    {
        var rows = Batch(batch);
        var view = kv is null ? default : ((NativeKv)kv).View;
        int status;
        _cancelled[0] = cancellationToken.IsCancellationRequested ? 1 : 0;
        using (cancellationToken.UnsafeRegister(static flag => Volatile.Write(ref ((int[])flag!)[0], 1), _cancelled))
        {
            status = NativeMethods.RunProgram(_handle, &rows, kv is null ? null : &view, Pin(_cancelled));
        }

        if (status == NativeMethods.Cancelled)
        {
            throw new OperationCanceledException(cancellationToken);
        }

        NativeMethods.Check(status);
    }

    private static NativeWeightHandle Multiplied(BackendWeight weight)
        => ((NativeWeight)weight).Handle ?? throw new ArgumentException("a table that was imported to be looked up cannot be multiplied with", nameof(weight));

    private static NativeBatch Batch(RowBatch batch) => new()
    {
        Tokens = Pin(batch.Tokens),
        Positions = Pin(batch.Positions),
        KvRows = Pin(batch.KvRows),
        Trunk = Pin(batch.Trunk),
        PageStart = Pin(batch.PageStart),
        Pages = Pin(batch.Pages),
        PathStart = Pin(batch.PathStart),
        PathRows = Pin(batch.PathRows),
        LogitRows = Pin(batch.LogitRows),
        Cos = batch.Cos,
        Sin = batch.Sin,
        AnglePositions = batch.Angles?.Known ?? 0,
        Rows = batch.Count,
        PageCount = batch.PageCount,
        PathCount = batch.PathCount,
        LogitCount = batch.LogitCount,
    };

    private static NativeStep OfHeads(NativeStep step, AttentionPlan attention)
    {
        (step.Layer, step.Heads, step.KvHeads, step.HeadDim) = (attention.Layer, attention.Heads, attention.KvHeads, attention.HeadDim);
        (step.RotaryDim, step.Window, step.Scale, step.Epsilon) = (attention.RotaryDim, attention.Window, attention.Scale, attention.Epsilon);
        step.QGain = GainOf(attention.QNorm);
        step.KGain = GainOf(attention.KNorm);
        return step;
    }

    private static void SetNorm(ref NativeStep step, RmsGain? norm)
    {
        if (norm is { } gain)
        {
            step.Gain = ((HostBuffer)gain.Gain).Pointer;
            step.Epsilon = gain.Epsilon;
        }
    }

    private NativeStep Translate(PlanStep step)
    {
        var native = new NativeStep
        {
            Rows = (step.Writes ?? step.Reads)?.Of ?? RowSet.All,
            X = step.Reads is null ? null : Address(step.Reads),
            Y = step.Writes is null ? null : Address(step.Writes),
            Width = step.Writes?.Width ?? 0,
            Multiplier = 1,
        };
        switch (step)
        {
            case LayerStep:
                native.Kind = NativeStepKind.Layer;
                break;
            case EmbedStep embed:
                (native.Kind, native.Table, native.Multiplier) = (NativeStepKind.Embed, LookedUp(embed.Table), embed.Multiplier);
                break;
            case NormStep norm:
                native.Kind = NativeStepKind.Norm;
                SetNorm(ref native, norm.Norm);
                break;
            case ProjectStep project:
                (native.Kind, native.Epilogue, native.Multiplier) = (NativeStepKind.Project, project.Epilogue, project.Multiplier);
                native.Weight = Multiplied(project.Weight).DangerousGetHandle();
                SetNorm(ref native, project.Norm);
                break;
            case RopeStep rope:
                native = OfHeads(native, rope.Attention);
                native.Kind = NativeStepKind.RopeAppend;
                break;
            case AttendStep attend:
                native = OfHeads(native, attend.Attention);
                native.Kind = NativeStepKind.Attend;
                break;
            case GatherStep:
                native.Kind = NativeStepKind.Gather;
                break;
            default:
                throw new InvalidOperationException($"the native kernels know no {step.GetType().Name}");
        }

        return native;
    }

    private static NativePart LookedUp(BackendWeight table)
    {
        var part = ((NativeWeight)table).Table;
        return part.Data is not null ? part : throw new ArgumentException("packed weights cannot be looked up as embeddings", nameof(table));
    }
}
