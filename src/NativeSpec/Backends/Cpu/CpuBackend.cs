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
            SimdLevel.Vector512 => new CpuBackend<Simd512, Vector512<float>>(level, threads, options),
            SimdLevel.Vector256 => new CpuBackend<Simd256, Vector256<float>>(level, threads, options),
            SimdLevel.Vector128 => new CpuBackend<Simd128, Vector128<float>>(level, threads, options),
            _ => new CpuBackend<SimdScalar, float>(level, threads, options),
        };
    }
}

/// <summary>The backend of one vector width.</summary>
internal sealed unsafe class CpuBackend<TSimd, TVector>(SimdLevel level, int threads, CpuOptions options) : IBackend
    where TSimd : ISimd<TVector>
    where TVector : unmanaged
{
    private readonly ThreadTeam _team = new(threads);

    public string Name => "cpu";

    public string Description => $"cpu: managed kernels, {level}, {_team.Threads} thread{(_team.Threads == 1 ? "" : "s")}{(options.KvFormat == KvFormat.BF16 ? ", BF16 keys and values" : "")}";

    public BackendVector ImportVector(TensorView vector)
    {
        RequireFloat(vector);
        var buffer = new HostBuffer(vector.ElementCount);
        for (var i = 0; i < vector.ElementCount; i++)
        {
            buffer.Pointer[i] = WeightFormats.LoadOne(vector.DType, (byte*)vector.Data, i);
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

    public long KvBytesPerRow(in KvShape shape) => CpuKv.BytesOf(shape, options.KvFormat);

    public BackendKv AllocateKv(in KvShape shape) => new CpuKv(shape, options.KvFormat);

    public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(to.Length, from.Length);
        kv.Shape.RequireRows(from);
        kv.Shape.RequireRows(to);
        var cache = (CpuKv)kv;
        var width = cache.RowBytes;
        for (var layer = 0; layer < kv.Shape.Layers; layer++)
        {
            byte* keys = cache.Keys(layer), values = cache.Values(layer);
            for (var i = 0; i < from.Length; i++)
            {
                Copy(keys + ((nint)from[i] * width), keys + ((nint)to[i] * width), width);
                Copy(values + ((nint)from[i] * width), values + ((nint)to[i] * width), width);
            }
        }
    }

    public IForwardProgram Compile(ForwardPlan plan) => new CpuProgram<TSimd, TVector>(plan, _team, level, options.SmallestChunk);

    public void Dispose() => _team.Dispose();

    private static void Copy(byte* from, byte* to, int length) => new ReadOnlySpan<byte>(from, length).CopyTo(new Span<byte>(to, length));

    private static void RequireFloat(TensorView tensor)
    {
        if (tensor.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw new ArgumentException($"'{tensor.Name}' is {tensor}; the cpu backend computes with F32, F16 and BF16 weights{(tensor.Format == WeightFormat.AsStored ? "" : ", packed ones need the native backend")}", nameof(tensor));
        }
    }
}
