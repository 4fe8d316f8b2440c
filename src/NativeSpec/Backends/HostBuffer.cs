using System.Runtime.InteropServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends;

/// <summary>Floats in this process's memory: the buffers of every backend that computes on the processor.</summary>
internal sealed unsafe class HostBuffer(long length) : BackendVector(length)
{
    private readonly NativeBuffer<float> _memory = new(length);

    /// <summary>The memory itself.</summary>
    public SafeHandle Memory => _memory;

    /// <summary>The first float, on a 64-byte boundary.</summary>
    /// <exception cref="ObjectDisposedException">The buffer is disposed.</exception>
    public float* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
            return _memory.Pointer;
        }
    }

    /// <summary>All parts' biases side by side, zero where a part has none; null where none has one.</summary>
    /// <param name="backend">Reads the vectors.</param>
    /// <param name="parts">Matrices [out_i, in].</param>
    /// <param name="biases">One vector [out_i] per part or null; empty when no part has one.</param>
    /// <exception cref="ArgumentException">A bias has another length than its part has outputs.</exception>
    public static HostBuffer? OfBiases(IBackend backend, IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        if (biases.All(bias => bias is null))
        {
            return null;
        }

        for (var i = 0; i < parts.Count; i++)
        {
            if (biases[i] is { } bias && bias.ElementCount != parts[i].Shape[0])
            {
                throw new ArgumentException($"'{bias.Name}' is {bias}; '{parts[i].Name}' has {parts[i].Shape[0]} outputs", nameof(biases));
            }
        }

        var all = new HostBuffer(parts.Sum(part => part.Shape[0]));
        var at = 0L;
        for (var i = 0; i < parts.Count; at += parts[i].Shape[0], i++)
        {
            if (biases[i] is { } bias)
            {
                using var one = (HostBuffer)backend.ImportVector(bias);
                one.Span(0, (int)one.Length).CopyTo(all.Span(at, (int)one.Length));
            }
        }

        return all;
    }

    /// <summary>A part of the floats.</summary>
    public Span<float> Span(long start, int length) => _memory.Slice(start, length);

    public override void Dispose() => _memory.Dispose();
}
