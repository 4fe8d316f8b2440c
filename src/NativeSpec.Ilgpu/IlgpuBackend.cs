using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Ilgpu;

/// <summary>The back end: the kernels of kernels/ilgpu on one device.</summary>
/// <param name="device">The device.</param>
/// <param name="ownsDevice">Whether it goes with the back end.</param>
/// <param name="weights">How matmul weights are held.</param>
/// <param name="kvFormat">How keys and values are held.</param>
internal sealed class IlgpuBackend(IlgpuDevice device, bool ownsDevice, WeightFormat weights = WeightFormat.AsStored, KvFormat kvFormat = KvFormat.F32) : IBackend
{
    private NativeBackend? _packer;
    private DeviceBuffer<int>? _moves;

    /// <inheritdoc/>
    public string Name => "ilgpu";

    /// <inheritdoc/>
    public string Description
        => $"ilgpu: {device.Name}{(device.HasTensorCores ? ", tensor cores" : "")}, {(weights == WeightFormat.AsStored ? "weights as stored" : $"{weights.ToString().ToLowerInvariant()} weights")}{(kvFormat == KvFormat.BF16 ? ", BF16 keys and values" : "")}";

    /// <inheritdoc/>
    public long MemoryBytes => device.Memory;

    /// <inheritdoc/>
    double? IBackend.MeasureCopying() => device.IsProcessor ? null : MeasureCopying();

    /// <summary>Bytes that the device copies in a second, read and written ones alike.</summary>
    /// <param name="most">Bytes of the copy at most; a sixteenth of the device's memory otherwise.</param>
    public double MeasureCopying(long most = 1L << 28)
    {
        const int Copies = 8;
        var bytes = Math.Min(most, device.Memory / 16);
        using DeviceBuffer<byte> from = device.Allocate<byte>(bytes), to = device.Allocate<byte>(bytes);
        device.Copy(from.View, to.View);
        device.Synchronize();
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < Copies; i++)
        {
            device.Copy(from.View, to.View);
        }

        device.Synchronize();
        return 2.0 * Copies * bytes / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>The device.</summary>
    public IlgpuDevice Device => device;

    /// <summary>Partial sums that a product has at once: 64 MiB, unless eight rows have more.</summary>
    public long MostPartials { get; init; } = 1 << 24;

    /// <summary>Packs weights with the whole numbers and scales that the processor computes with.</summary>
    /// <exception cref="InvalidOperationException">The native library is not here.</exception>
    public NativeBackend Packer => _packer ??= NativeBackend.TryCreate(null, out var reason)
        ?? throw new InvalidOperationException($"{weights.ToString().ToLowerInvariant()} weights are packed by the native library: {reason}. A checkpoint that is packed already needs none");

    /// <inheritdoc/>
    public long KvBytesPerRow(in KvShape shape) => checked(shape.Length * (kvFormat == KvFormat.BF16 ? sizeof(ushort) : sizeof(float)));

    /// <inheritdoc/>
    public BackendVector ImportVector(TensorView vector)
    {
        RequireFloat(vector);
        var memory = device.Allocate<float>(vector.ElementCount);
        memory.Upload(DeviceWeight.Floats(vector));
        return new DeviceVector(memory);
    }

    /// <inheritdoc/>
    public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
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
            else if (weights != WeightFormat.AsStored && weights != part.Format)
            {
                throw new ArgumentException($"'{part.Name}' is {part}; {weights.ToString().ToLowerInvariant()} weights are made from a checkpoint that is not packed", nameof(parts));
            }
        }

        return new DeviceWeight(this, parts, Biases(parts, biases), parts[0].Format == WeightFormat.AsStored ? weights : parts[0].Format);
    }

    /// <inheritdoc/>
    public BackendKv AllocateKv(in KvShape shape) => DeviceKv.Create(device, shape, kvFormat);

    /// <inheritdoc/>
    public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(to.Length, from.Length);
        kv.Shape.RequireRows(from);
        kv.Shape.RequireRows(to);
        ObjectDisposedException.ThrowIf(((DeviceKv)kv).IsDisposed, kv);
        if (from.IsEmpty)
        {
            return;
        }

        if (_moves is null || _moves.Length < 2 * from.Length)
        {
            _moves?.Dispose();
            _moves = device.Allocate<int>(2L * from.Length);
        }

        _moves.Upload([.. from, .. to]);
        ((DeviceKv)kv).Move(_moves.View.SubView(0, from.Length), _moves.View.SubView(from.Length, to.Length), from.Length);
    }

    /// <inheritdoc/>
    public IForwardProgram Compile(ForwardPlan plan) => new IlgpuProgram(plan, device, MostPartials);

    /// <inheritdoc/>
    public void Dispose()
    {
        _moves?.Dispose();
        _packer?.Dispose();
        if (ownsDevice)
        {
            device.Dispose();
        }
    }

    private static void RequireFloat(TensorView tensor)
    {
        if (tensor.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw new ArgumentException($"'{tensor.Name}' is {tensor}; the ilgpu back end computes with F32, F16 and BF16 weights, and packed ones", nameof(tensor));
        }
    }

    private static float[]? Biases(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        if (biases.All(bias => bias is null))
        {
            return null;
        }

        List<float> all = [];
        for (var i = 0; i < parts.Count; i++)
        {
            if (biases[i] is not { } bias)
            {
                all.AddRange(new float[parts[i].Shape[0]]);
                continue;
            }

            if (bias.ElementCount != parts[i].Shape[0])
            {
                throw new ArgumentException($"'{bias.Name}' is {bias}; '{parts[i].Name}' has {parts[i].Shape[0]} outputs", nameof(biases));
            }

            RequireFloat(bias);
            all.AddRange(DeviceWeight.Floats(bias));
        }

        return [.. all];
    }
}
