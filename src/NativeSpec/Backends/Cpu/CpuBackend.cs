using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cpu;

/// <summary>The managed backend: SIMD kernels written once for every vector width, on a team of threads. It runs wherever .NET runs.</summary>
internal static class CpuBackend
{
    /// <summary>Starts the backend.</summary>
    /// <exception cref="ArgumentException">The options name a level or a number of threads that cannot be.</exception>
    public static IBackend Create(CpuOptions? options = null)
    {
        options ??= new CpuOptions();
        var (level, threads) = (options.ResolveLevel(), options.ResolveThreads());
        return level switch
        {
            SimdLevel.Vector512 => new CpuBackend<Simd512, Vector512<float>>(level, threads, options.SmallestChunk),
            SimdLevel.Vector256 => new CpuBackend<Simd256, Vector256<float>>(level, threads, options.SmallestChunk),
            SimdLevel.Vector128 => new CpuBackend<Simd128, Vector128<float>>(level, threads, options.SmallestChunk),
            _ => new CpuBackend<SimdScalar, float>(level, threads, options.SmallestChunk),
        };
    }
}

/// <summary>The backend of one vector width: each operation checks its extents, then hands its kernel to the team.</summary>
internal sealed unsafe class CpuBackend<TSimd, TVector>(SimdLevel level, int threads, int? smallestChunk) : IBackend
    where TSimd : ISimd<TVector>
    where TVector : unmanaged
{
    /// <summary>Multiply-adds worth a fork: below this (some microseconds) the caller does it alone, because a thread that has parked takes
    /// longer to wake.</summary>
    private readonly long _forkWork = smallestChunk ?? 200_000;

    /// <summary>Multiply-adds worth a chunk of their own.</summary>
    private readonly long _chunkWork = smallestChunk ?? 32_768;

    private readonly ThreadTeam _team = new(threads);
    private RowBatch _batch = new(1, 1, 2);

    public string Name => "cpu";

    public string Description => $"cpu: managed kernels, {level}, {_team.Threads} thread{(_team.Threads == 1 ? "" : "s")}";

    public BackendBuffer Allocate(long length) => new HostBuffer(length);

    public BackendBuffer ImportVector(TensorView vector)
    {
        RequireFloat(vector);
        var buffer = new HostBuffer(vector.ElementCount);
        for (var i = 0; i < vector.ElementCount; i++)
        {
            buffer.Pointer[i] = LoadOne(vector.DType, (byte*)vector.Data, i);
        }

        return buffer;
    }

    public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        foreach (var part in parts)
        {
            RequireFloat(part);
            if (part.Shape.Length != 2 || part.Shape[1] != parts[0].Shape[1])
            {
                throw new ArgumentException($"'{part.Name}' is {part}; stacked weights need two extents, the second {parts[0].Shape[^1]}", nameof(parts));
            }
        }

        return new CpuWeight(parts, HostBuffer.OfBiases(this, parts, biases));
    }

    public BackendKv AllocateKv(in KvShape shape) => new CpuKv(shape);

    public void Upload(RowBatch batch) => _batch = batch;

    public void Embed(BackendWeight table, BackendBuffer x)
    {
        var segment = ((CpuWeight)table).Segments[0];
        var width = table.InFeatures;
        var target = HostBuffer.Of(x, _batch.Count, width);
        var rowBytes = (nint)width * segment.DType.Size();
        for (var row = 0; row < _batch.Count; row++)
        {
            var token = _batch.Tokens[row];
            ArgumentOutOfRangeException.ThrowIfNegative(token);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, table.OutFeatures);
            for (var i = 0; i < width; i++)
            {
                target[((nint)row * width) + i] = LoadOne(segment.DType, segment.Data + (token * rowBytes), i);
            }
        }
    }

    public void RmsNorm(BackendBuffer x, BackendBuffer gain, float eps, BackendBuffer y, int rows)
    {
        var width = (int)gain.Length;
        var arguments = new RmsNorm.Arguments
        {
            X = HostBuffer.Of(x, rows, width),
            Gain = HostBuffer.Of(gain, 1, width),
            Y = HostBuffer.Of(y, rows, width),
            Width = width,
            Epsilon = eps,
        };
        _team.Run(&Cpu.RmsNorm.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 2L * width));
    }

    public void MatMul(BackendWeight weight, BackendBuffer x, BackendBuffer y, int rows, bool accumulate)
    {
        var w = (CpuWeight)weight;
        var input = HostBuffer.Of(x, rows, w.InFeatures);
        var output = HostBuffer.Of(y, rows, w.OutFeatures);
        foreach (var segment in w.Segments)
        {
            var arguments = new MatMul.Arguments
            {
                Weights = segment.Data,
                X = input,
                Y = output + segment.First,
                Bias = w.Bias is null ? null : w.Bias.Pointer + segment.First,
                In = w.InFeatures,
                Rows = rows,
                StrideY = w.OutFeatures,
                Accumulate = accumulate,
            };
            delegate*<void*, int, int, void> kernel = segment.DType switch
            {
                DType.BF16 => &Cpu.MatMul.Work<BF16Format, TSimd, TVector>,
                DType.F16 => &Cpu.MatMul.Work<F16Format, TSimd, TVector>,
                _ => &Cpu.MatMul.Work<F32Format, TSimd, TVector>,
            };
            // Whole tiles of four outputs, so that only the last chunk has a remainder.
            var grain = (Grain(segment.Rows, (long)w.InFeatures * rows) + 3) & ~3;
            _team.Run(kernel, &arguments, segment.Rows, grain);
        }
    }

    public void Rope(BackendBuffer qkv, BackendKv kv, int layer)
    {
        var shape = kv.Shape;
        var cache = (CpuKv)kv;
        var arguments = new Rope.Arguments
        {
            Qkv = HostBuffer.Of(qkv, _batch.Count, (shape.Heads * shape.HeadDim) + (2 * shape.Width)),
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            Cos = Pin(_batch.Cos),
            Sin = Pin(_batch.Sin),
            KvRows = Pin(_batch.KvRows),
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
        };
        _team.Run(&Cpu.Rope.Work<TSimd, TVector>, &arguments, _batch.Count, Grain(_batch.Count, 2L * (shape.Heads + (2 * shape.KvHeads)) * shape.HeadDim));
    }

    public void TreeAttention(BackendBuffer qkv, BackendKv kv, int layer, BackendBuffer y)
    {
        var shape = kv.Shape;
        var cache = (CpuKv)kv;
        var arguments = new TreeAttention.Arguments
        {
            Qkv = HostBuffer.Of(qkv, _batch.Count, (shape.Heads * shape.HeadDim) + (2 * shape.Width)),
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            Y = HostBuffer.Of(y, _batch.Count, shape.Heads * shape.HeadDim),
            Positions = Pin(_batch.Positions),
            Trunk = Pin(_batch.Trunk),
            PageStart = Pin(_batch.PageStart),
            Pages = Pin(_batch.Pages),
            PathStart = Pin(_batch.PathStart),
            PathRows = Pin(_batch.PathRows),
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
        };
        var items = checked(_batch.Count * shape.KvHeads);
        var keys = 0L;
        for (var row = 0; row < _batch.Count; row++)
        {
            keys += _batch.Positions[row] + 1;
        }

        _team.Run(AttentionFor(shape.HeadDim), &arguments, items, Grain(items, 2 * keys * shape.Heads * shape.HeadDim / Math.Max(items, 1)));
    }

    public void SwiGlu(BackendBuffer gateUp, BackendBuffer y, int rows, int width)
    {
        var arguments = new SwiGlu.Arguments { GateUp = HostBuffer.Of(gateUp, rows, 2L * width), Y = HostBuffer.Of(y, rows, width), Width = width };
        _team.Run(&Cpu.SwiGlu.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 16L * width));
    }

    public void AddSilu(BackendBuffer x, BackendBuffer y, int rows, int width)
    {
        var arguments = new AddSilu.Arguments { X = HostBuffer.Of(x, rows, width), Y = HostBuffer.Of(y, rows, width), Width = width };
        _team.Run(&Cpu.AddSilu.Work<TSimd, TVector>, &arguments, rows, Grain(rows, 16L * width));
    }

    public void GatherLogitRows(BackendBuffer x, BackendBuffer y, int width)
    {
        float* from = HostBuffer.Of(x, _batch.Count, width), to = HostBuffer.Of(y, _batch.LogitCount, width);
        for (var i = 0; i < _batch.LogitCount; i++)
        {
            Copy(from + ((nint)_batch.LogitRows[i] * width), to + ((nint)i * width), width);
        }
    }

    public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
    {
        var cache = (CpuKv)kv;
        var width = kv.Shape.Width;
        for (var layer = 0; layer < kv.Shape.Layers; layer++)
        {
            float* keys = cache.Keys(layer), values = cache.Values(layer);
            for (var i = 0; i < from.Length; i++)
            {
                Copy(keys + ((nint)from[i] * width), keys + ((nint)to[i] * width), width);
                Copy(values + ((nint)from[i] * width), values + ((nint)to[i] * width), width);
            }
        }
    }

    public ReadOnlySpan<float> Download(BackendBuffer buffer, long start, int length) => ((HostBuffer)buffer).Span(start, length);

    public void Write(BackendBuffer buffer, long start, ReadOnlySpan<float> values) => values.CopyTo(((HostBuffer)buffer).Span(start, values.Length));

    public void Dispose() => _team.Dispose();

    private static void Copy(float* from, float* to, int length) => new ReadOnlySpan<float>(from, length).CopyTo(new Span<float>(to, length));

    /// <summary>The address of pinned data.</summary>
    private static T* Pin<T>(T[] pinned)
        where T : unmanaged
        => (T*)Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(pinned));

    private static float LoadOne(DType dtype, byte* data, int index) => dtype switch
    {
        DType.BF16 => BF16Format.LoadOne(data, index),
        DType.F16 => F16Format.LoadOne(data, index),
        _ => F32Format.LoadOne(data, index),
    };

    private static void RequireFloat(TensorView tensor)
    {
        if (tensor.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw new ArgumentException($"'{tensor.Name}' is {tensor}; the cpu backend computes with F32, F16 and BF16 weights{(tensor.Format == WeightFormat.AsStored ? "" : ", packed ones need the native backend")}", nameof(tensor));
        }
    }

    /// <summary>The widest attention whose vectors a head fills: with wider ones a small head would be all remainder.</summary>
    private delegate*<void*, int, int, void> AttentionFor(int headDim)
    {
        if (headDim >= TSimd.Width || level <= SimdLevel.Vector128)
        {
            return &Cpu.TreeAttention.Work<TSimd, TVector>;
        }

        return headDim >= Simd256.Width && level > SimdLevel.Vector256
            ? &Cpu.TreeAttention.Work<Simd256, Vector256<float>>
            : &Cpu.TreeAttention.Work<Simd128, Vector128<float>>;
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
        var even = items / (8L * _team.Threads);
        return (int)Math.Clamp(Math.Max(smallest, even), 1, Math.Max(items, 1));
    }
}
