using System.Runtime.Intrinsics;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cpu;

/// <summary>A plan, interpreted: each step hands its kernel to the team, one range of items a chunk.</summary>
internal sealed unsafe class CpuProgram<TSimd, TVector>(ForwardPlan plan, ThreadTeam team, SimdLevel level, int? smallestChunk) : HostProgram(plan, [])
    where TSimd : ISimd<TVector>
    where TVector : unmanaged
{
    /// <summary>Multiply-adds worth a fork: below this (some microseconds) the caller does it alone, because a thread that has parked takes
    /// longer to wake.</summary>
    private readonly long _forkWork = smallestChunk ?? 200_000;

    /// <summary>Multiply-adds worth a chunk of their own.</summary>
    private readonly long _chunkWork = smallestChunk ?? 32_768;

    private readonly PlanStep[] _steps = [.. plan.Steps];

    protected override void Execute(RowBatch batch, BackendKv? kv, CancellationToken cancellationToken)
    {
        foreach (var step in _steps)
        {
            switch (step)
            {
                case LayerStep:
                    cancellationToken.ThrowIfCancellationRequested();
                    break;
                case EmbedStep embed:
                    Embed(embed, batch);
                    break;
                case NormStep norm:
                    RmsNorm(Address(norm.X), norm.Norm, Address(norm.Into), Count(norm.X, batch));
                    break;
                case ProjectStep project:
                    Project(project, Count(project.X, batch));
                    break;
                case RopeStep rope:
                    Rope(rope, batch, (CpuKv)kv!);
                    break;
                case AttendStep attend:
                    Attend(attend, batch, (CpuKv)kv!);
                    break;
                case GatherStep gather:
                    Gather(gather, batch);
                    break;
                default:
                    throw new InvalidOperationException($"the managed kernels know no {step.GetType().Name}");
            }
        }
    }

    private static int Count(Rows value, RowBatch batch) => value.Of == RowSet.All ? batch.Count : batch.LogitCount;

    private void Embed(EmbedStep step, RowBatch batch)
    {
        var segment = ((CpuWeight)step.Table).Segments[0];
        var width = step.Table.InFeatures;
        var target = Address(step.Into);
        var rowBytes = (nint)width * segment.DType.Size();
        for (var row = 0; row < batch.Count; row++)
        {
            var from = segment.Data + (batch.Tokens[row] * rowBytes);
            for (var i = 0; i < width; i++)
            {
                target[((nint)row * width) + i] = WeightFormats.LoadOne(segment.DType, from, i) * step.Multiplier;
            }
        }
    }

    private void RmsNorm(float* x, RmsGain norm, float* y, int rows)
    {
        var width = (int)norm.Width;
        var arguments = new RmsNorm.Arguments { X = x, Gain = ((HostBuffer)norm.Gain).Pointer, Y = y, Width = width, Epsilon = norm.Epsilon };
        team.Run(&Cpu.RmsNorm.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 2L * width));
    }

    private void Project(ProjectStep step, int rows)
    {
        var (x, y, width) = ((nint)Address(step.X), (nint)Address(step.Into), step.Into.Width);
        if (step.Norm is { } norm)
        {
            RmsNorm((float*)x, norm, Normed.Pointer, rows);
            x = (nint)Normed.Pointer;
        }

        MatMul((CpuWeight)step.Weight, (float*)x, step.NeedsRoom ? Room.Pointer : (float*)y, rows, step.Epilogue == Epilogue.Add, step.Multiplier);
        if (step.Epilogue == Epilogue.SwiGlu)
        {
            var arguments = new SwiGlu.Arguments { GateUp = Room.Pointer, Y = (float*)y, Width = width };
            team.Run(&Cpu.SwiGlu.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 16L * width));
        }
        else if (step.Epilogue == Epilogue.AddSilu)
        {
            var arguments = new AddSilu.Arguments { X = (float*)y, Y = Room.Pointer, Width = width };
            team.Run(&Cpu.AddSilu.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 16L * width));
        }
    }

    private void MatMul(CpuWeight weight, float* x, float* y, int rows, bool accumulate, float multiplier)
    {
        foreach (var segment in weight.Segments)
        {
            var arguments = new MatMul.Arguments
            {
                Weights = segment.Data,
                X = x,
                Y = y + segment.First,
                Bias = weight.Bias is null ? null : weight.Bias.Pointer + segment.First,
                In = weight.InFeatures,
                Rows = rows,
                StrideY = weight.OutFeatures,
                Accumulate = accumulate,
                Multiplier = multiplier,
            };
            delegate*<void*, int, int, void> kernel = segment.DType switch
            {
                DType.BF16 => &Cpu.MatMul.Work<BF16Format, TSimd, TVector>,
                DType.F16 => &Cpu.MatMul.Work<F16Format, TSimd, TVector>,
                _ => &Cpu.MatMul.Work<F32Format, TSimd, TVector>,
            };
            // Whole tiles of four outputs, so that only the last chunk has a remainder.
            var grain = (Grain(segment.Rows, (long)weight.InFeatures * rows) + 3) & ~3;
            team.Run(kernel, &arguments, segment.Rows, grain);
        }
    }

    private void Rope(RopeStep step, RowBatch batch, CpuKv cache)
    {
        var a = step.Attention;
        var arguments = new Rope.Arguments
        {
            Qkv = Address(step.Qkv),
            Keys = cache.Keys(a.Layer),
            Values = cache.Values(a.Layer),
            Cos = batch.Cos,
            Sin = batch.Sin,
            Positions = Pin(batch.Positions),
            KvRows = Pin(batch.KvRows),
            Heads = a.Heads,
            KvHeads = a.KvHeads,
            HeadDim = a.HeadDim,
            RotaryDim = a.RotaryDim,
            QGain = GainOf(a.QNorm),
            KGain = GainOf(a.KNorm),
            Epsilon = a.Epsilon,
        };
        team.Run(cache.Format == KvFormat.BF16 ? &Cpu.Rope.Work<BF16Format, TSimd, TVector> : &Cpu.Rope.Work<F32Format, TSimd, TVector>, &arguments, batch.Count, Grain(batch.Count, 2L * a.QkvWidth));
    }

    private void Attend(AttendStep step, RowBatch batch, CpuKv cache)
    {
        var a = step.Attention;
        var arguments = new TreeAttention.Arguments
        {
            Qkv = Address(step.Qkv),
            Keys = cache.Keys(a.Layer),
            Values = cache.Values(a.Layer),
            Y = Address(step.Into),
            Positions = Pin(batch.Positions),
            Trunk = Pin(batch.Trunk),
            PageStart = Pin(batch.PageStart),
            Pages = Pin(batch.Pages),
            PathStart = Pin(batch.PathStart),
            PathRows = Pin(batch.PathRows),
            Heads = a.Heads,
            KvHeads = a.KvHeads,
            HeadDim = a.HeadDim,
            Window = a.Window,
            Scale = a.Scale,
        };
        var items = checked(batch.Count * a.KvHeads);
        var keys = 0L;
        for (var row = 0; row < batch.Count; row++)
        {
            keys += batch.Positions[row] + 1 - a.FirstSeen(batch.Positions[row]);
        }

        team.Run(cache.Format == KvFormat.BF16 ? AttentionFor<BF16Format>(a.HeadDim) : AttentionFor<F32Format>(a.HeadDim), &arguments, items, Grain(items, 2 * keys * a.Heads * a.HeadDim / Math.Max(items, 1)));
    }

    private void Gather(GatherStep step, RowBatch batch)
    {
        var width = step.X.Width;
        float* from = Address(step.X), to = Address(step.Into);
        for (var i = 0; i < batch.LogitCount; i++)
        {
            new ReadOnlySpan<float>(from + ((nint)batch.LogitRows[i] * width), width).CopyTo(new Span<float>(to + ((nint)i * width), width));
        }
    }

    /// <summary>The widest attention whose vectors a head fills: with wider ones a small head would be all remainder.</summary>
    private delegate*<void*, int, int, void> AttentionFor<TFormat>(int headDim)
        where TFormat : IKvFormat
    {
        if (headDim >= TSimd.Width || level <= SimdLevel.Vector128)
        {
            return &TreeAttention.Work<TFormat, TSimd, TVector>;
        }

        return headDim >= Simd256.Width && level > SimdLevel.Vector256
            ? &TreeAttention.Work<TFormat, Simd256, Vector256<float>>
            : &TreeAttention.Work<TFormat, Simd128, Vector128<float>>;
    }

    /// <summary>Items per chunk: enough work to be worth a fork, and about eight chunks a thread so that a slow core does not hold up
    /// the join.</summary>
    private int Grain(int items, long workPerItem)
    {
        if (items * workPerItem < _forkWork)
        {
            return Math.Max(items, 1);
        }

        var smallest = (_chunkWork + workPerItem) / Math.Max(workPerItem, 1);
        var even = items / (8L * team.Threads);
        return (int)Math.Clamp(Math.Max(smallest, even), 1, Math.Max(items, 1));
    }
}
