using System.Runtime.InteropServices;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>The CUDA back end: the kernels of kernels/cuda on a device, a forward a graph, rows answered where they lie. Keys and values are BF16, or
/// F32 as two BF16 parts; products take rows of BF16, of two BF16 parts or of F16, and sum in F32.</summary>
internal sealed unsafe class CudaBackend : IBackend
{
    private readonly CudaOptions _options;
    private NativeBackend? _packer;
    private CudaStaging? _staging;

    /// <summary>Starts it on a device that was found.</summary>
    internal CudaBackend(CudaDevice device, CudaOptions options)
    {
        Device = device;
        _options = options;
        Context = new CudaContext(device);
        try
        {
            using var turn = Context.Enter();
            Kernels = new CudaKernels(turn, device, options.ImageFolder);
        }
        catch
        {
            Context.Dispose();
            throw;
        }

        var held = options.Weights == WeightFormat.AsStored ? "weights as stored" : $"{options.Weights.ToString().ToLowerInvariant()} weights";
        Description = $"cuda: {device.Name}, sm_{device.Capability}, {device.Multiprocessors} multiprocessors, {Kernels.Image}, {held}{(options.KvFormat == KvFormat.F32 ? ", F32 keys and values" : "")}";
    }

    /// <inheritdoc/>
    public string Name => "cuda";

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public long MemoryBytes => Device.Memory;

    /// <summary>What a pass takes: of fewer rows each would read all weights again.</summary>
    public int PromptRows => CudaLayout.PromptRows;

    /// <summary>What computes.</summary>
    public CudaDevice Device { get; }

    /// <summary>Where all is taken and asked.</summary>
    public CudaContext Context { get; }

    /// <summary>The kernels.</summary>
    public CudaKernels Kernels { get; }

    /// <summary>Whether every kernel is waited for.</summary>
    public bool IsSynchronous => _options.IsSynchronous;

    /// <summary>Bytes that the partial results of attention may take.</summary>
    public long MostUnitBytes => _options.MostUnitBytes;

    /// <summary>Packs weights with the whole numbers and scales that the CPU computes with.</summary>
    /// <exception cref="InvalidOperationException">The native library is not here.</exception>
    public NativeBackend Packer => _packer ??= NativeBackend.TryCreate(null, out var reason)
        ?? throw new InvalidOperationException($"{_options.Weights.ToString().ToLowerInvariant()} weights are packed by the native library: {reason}. A checkpoint that is packed already needs none");

    /// <summary>Starts the backend, or returns null and says in one sentence why there is no device to use.</summary>
    /// <param name="options">How it runs.</param>
    /// <param name="reason">Why there is none; null when there is one.</param>
    public static CudaBackend? TryCreate(CudaOptions? options, out string? reason)
    {
        options ??= new CudaOptions();
        if (CudaDevice.Find(options.Device, out reason) is not { } device)
        {
            return null;
        }

        try
        {
            return new CudaBackend(device, options);
        }
        catch (BackendException error)
        {
            reason = $"the CUDA device {device.Number}, {device.Name}, cannot be used: {error.Message}";
            return null;
        }
    }

    /// <summary>Bytes of device memory: free, and all.</summary>
    public (long Free, long Total) MemoryInfo()
    {
        using var turn = Context.Enter();
        return turn.MemoryInfo();
    }

    /// <inheritdoc/>
    double? IBackend.MeasureCopying() => MeasureCopying();

    /// <summary>Bytes that the device copies in a second, read and written ones alike: the yardstick of everything that reads weights.</summary>
    /// <param name="most">Bytes of the copy at most; an eighth of what is free otherwise.</param>
    public double MeasureCopying(long most = 1L << 28)
    {
        const int Copies = 4;
        using var turn = Context.Enter();
        var bytes = Math.Min(most, turn.MemoryInfo().Free / 8);
        using CudaResource from = turn.Allocate(bytes), to = turn.Allocate(bytes), begin = turn.CreateEvent(), end = turn.CreateEvent();
        turn.Clear(from.Handle, bytes);
        turn.Copy(to.Handle, from.Handle, bytes);
        turn.RecordEvent(begin);
        for (var i = 0; i < Copies; i++)
        {
            turn.Copy(to.Handle, from.Handle, bytes);
        }

        turn.RecordEvent(end);
        turn.Synchronize("copying is timed");
        return 2.0 * Copies * bytes / turn.SecondsBetween(begin, end);
    }

    /// <inheritdoc/>
    public long KvBytesPerRow(in KvShape shape) => CudaKv.BytesPerRow(shape, _options.KvFormat);

    /// <inheritdoc/>
    public BackendVector ImportVector(TensorView vector)
    {
        ArgumentNullException.ThrowIfNull(vector);
        RequireFloat(vector);
        using var turn = Context.Enter();
        return new CudaVector(vector.ElementCount, UploadFloats(turn, Staging(turn), Floats(vector)));
    }

    /// <inheritdoc/>
    public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(biases);
        foreach (var part in parts)
        {
            if (part.Shape.Length != 2 || part.Shape[1] != parts[0].Shape[1] || part.Format != parts[0].Format)
            {
                throw new ArgumentException($"'{part.Name}' is {part}; stacked weights need two extents, the second {parts[0].Shape[^1]}, and one format", nameof(parts));
            }

            if (part.Format == WeightFormat.AsStored)
            {
                RequireFloat(part);
            }
            else if (_options.Weights != WeightFormat.AsStored && _options.Weights != part.Format)
            {
                throw new ArgumentException(
                    $"'{part.Name}' is {part}; {_options.Weights.ToString().ToLowerInvariant()} weights are made from a checkpoint that is not packed", nameof(parts));
            }
        }

        return new CudaWeight(this, parts, Biases(parts, biases), parts[0].Format == WeightFormat.AsStored ? _options.Weights : parts[0].Format);
    }

    /// <inheritdoc/>
    public BackendKv AllocateKv(in KvShape shape)
    {
        RequireHeads(shape.Heads, shape.KvHeads, shape.HeadDim);
        using var turn = Context.Enter();
        return new CudaKv(turn, Staging(turn), this, shape, _options.KvFormat);
    }

    /// <inheritdoc/>
    public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
    {
        ArgumentNullException.ThrowIfNull(kv);
        ArgumentOutOfRangeException.ThrowIfNotEqual(to.Length, from.Length);
        kv.Shape.RequireRows(from);
        kv.Shape.RequireRows(to);
        var cache = (CudaKv)kv;
        ObjectDisposedException.ThrowIf(cache.IsDisposed, kv);
        for (var i = 0; i < from.Length; i++)
        {
            if (cache.MoveCount == CudaKv.MostMoves)
            {
                MoveNow(cache);
            }

            cache.Moves[cache.MoveCount++] = new KvMove { From = from[i], To = to[i] };
        }
    }

    /// <inheritdoc/>
    public IForwardProgram Compile(ForwardPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        foreach (var step in plan.Steps)
        {
            if ((step as AttendStep)?.Attention is { } attention)
            {
                RequireHeads(attention.Heads, attention.KvHeads, attention.HeadDim);
            }
        }

        return new CudaProgram(plan, this);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Context.Dispose(); // which refuses in another's turn: then all stays as it is
        Kernels.Dispose();
        _packer?.Dispose();
    }

    /// <summary>Pinned memory for what is loaded; programs have their own.</summary>
    internal CudaStaging Staging(CudaTurn turn) => _staging ??= new CudaStaging(turn);

    /// <summary>Floats in device memory, once what is given is done.</summary>
    internal CudaResource UploadFloats(CudaTurn turn, CudaStaging staging, float[] values) => Upload<float>(turn, staging, values);

    /// <summary>Numbers in device memory, once what is given is done.</summary>
    internal CudaResource Upload<T>(CudaTurn turn, CudaStaging staging, T[] values)
        where T : unmanaged
    {
        var memory = turn.Allocate((long)values.Length * sizeof(T));
        fixed (T* first = values)
        {
            var source = (byte*)first;
            staging.Upload(turn, memory.Handle, (long)values.Length * sizeof(T), (to, from, count) => NativeMemory.Copy(source + from, to, (nuint)count));
        }

        return memory;
    }

    /// <summary>Packs a matrix on the device.</summary>
    internal void Pack(CudaTurn turn, PackWeightsArguments arguments, CudaFormat format)
    {
        var kernel = Kernels[CudaKernels.PackName(format)];
        turn.Launch(new KernelLaunch(kernel, 4 * Device.Multiprocessors, 1, kernel.Threads, 0, (nint)(&arguments), IsDependent: false));
    }

    private static float[] Floats(TensorView vector)
    {
        var values = new float[vector.ElementCount];
        CudaWeight.ToFloats(vector, 0, values);
        return values;
    }

    private static void RequireFloat(TensorView tensor)
    {
        if (tensor.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw new ArgumentException($"'{tensor.Name}' is {tensor}; the CUDA back end computes with F32, F16 and BF16 weights, and packed ones", nameof(tensor));
        }
    }

    private void RequireHeads(int heads, int kvHeads, int headDim)
    {
        const int MostHeadsOfOne = 16; // a tree's rows share products of 16 pairs
        var widest = CudaLayout.HeadWidths(Device.BlockSharedBytes, _options.KvFormat)[^1];
        if (headDim > widest || headDim % 4 != 0 || heads / kvHeads > MostHeadsOfOne)
        {
            const int NotSupported = 801;
            throw new CudaException(
                NotSupported, $"{heads} query and {kvHeads} key-value heads of {headDim}; the CUDA kernels take heads of a multiple of 4 to {widest}{(widest < CudaLayout.WideHead ? $" on a device that gives a block {Device.BlockSharedBytes} bytes of shared memory ({CudaLayout.AttentionBytes(CudaLayout.WideHead, _options.KvFormat)} for heads to {CudaLayout.WideHead})" : "")}, to {MostHeadsOfOne} query heads for each key-value head. Use the native or the managed back end");
        }
    }

    private static float[]? Biases(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        if (biases.All(bias => bias is null))
        {
            return null;
        }

        var all = new float[parts.Sum(part => part.Shape[0])];
        var at = 0L;
        for (var i = 0; i < parts.Count; at += parts[i].Shape[0], i++)
        {
            if (biases[i] is not { } bias)
            {
                continue;
            }

            if (bias.ElementCount != parts[i].Shape[0])
            {
                throw new ArgumentException($"'{bias.Name}' is {bias}; '{parts[i].Name}' has {parts[i].Shape[0]} outputs", nameof(biases));
            }

            RequireFloat(bias);
            CudaWeight.ToFloats(bias, 0, all.AsSpan((int)at, (int)bias.ElementCount));
        }

        return all;
    }

    /// <summary>Does the moves that are noted: only where there are more than a forward takes along.</summary>
    private void MoveNow(CudaKv kv)
    {
        using var turn = Context.Enter();
        using var moves = Upload<KvMove>(turn, Staging(turn), kv.Moves);
        using var list = Upload<RowList>(turn, Staging(turn), [new RowList { First = 0, Count = kv.MoveCount }]);
        var arguments = new MoveKvRowsArguments
        {
            Planes = kv.Planes,
            Moves = moves.Handle,
            Lists = list.Handle,
            KvHeads = kv.Shape.KvHeads,
            Width = kv.HeadNumbers,
        };
        var kernel = Kernels["move_kv_rows"];
        turn.Launch(new KernelLaunch(kernel, 2 * kv.Shape.Layers, 1, kernel.Threads, 0, (nint)(&arguments), IsDependent: false));
        kv.MoveCount = 0;
        turn.Synchronize("rows are moved", "move_kv_rows");
    }
}
