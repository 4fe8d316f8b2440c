using System.Runtime.InteropServices;
using NativeSpec.Backends.Cpu;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Native;

/// <summary>The native backend: the C++ kernels of one instruction-set level on a team of threads, with weights in the file's type or
/// packed to 8 or 4 bits.</summary>
internal sealed unsafe class NativeBackend : IBackend
{
    private readonly NativeBackendHandle _handle;
    private readonly WeightFormat _weights;
    private readonly DType _kvType;

    private NativeBackend(NativeOptions options)
    {
        var threads = new CpuOptions { Threads = options.Threads }.ResolveThreads();
        var level = options.ResolveLevel();
        if (!Enum.IsDefined(options.Weights))
        {
            throw new ArgumentException($"{nameof(NativeOptions)}.{nameof(NativeOptions.Weights)} is {options.Weights}; expected AsStored, Q8 or Q4");
        }

        _weights = options.Weights;
        _kvType = options.KvFormat == KvFormat.BF16 ? DType.BF16 : DType.F32;
        NativeMethods.Check(NativeMethods.CreateBackend(threads, level, out _handle));
        if (options.SmallestChunk is { } work)
        {
            NativeMethods.Check(NativeMethods.SetSmallestChunk(_handle, work));
        }

        var held = _weights == WeightFormat.AsStored ? "weights as stored" : $"{_weights.ToString().ToLowerInvariant()} weights";
        Description = $"native: {NativeOptions.LevelName(level)}, {threads} thread{(threads == 1 ? "" : "s")}, {held}{(_kvType == DType.BF16 ? ", BF16 keys and values" : "")}";
    }

    /// <inheritdoc/>
    public string Name => "native";

    /// <inheritdoc/>
    public string Description { get; }

    /// <summary>Starts the backend, or returns null and says in one line why the native library is not here.</summary>
    /// <param name="options">How it runs.</param>
    /// <param name="reason">Why there is none; null when there is one.</param>
    /// <exception cref="ArgumentException">The options name a level or a number of threads that cannot be.</exception>
    /// <exception cref="InvalidOperationException">The library was built for another version of this assembly.</exception>
    public static NativeBackend? TryCreate(NativeOptions? options, out string? reason)
    {
        reason = NativeLibraryLoader.WhyMissing;
        return reason is null ? new NativeBackend(options ?? new NativeOptions()) : null;
    }

    /// <inheritdoc/>
    public BackendVector ImportVector(TensorView vector)
    {
        ArgumentNullException.ThrowIfNull(vector);
        var buffer = new HostBuffer(vector.ElementCount);
        var part = Part(vector, vector.ElementCount);
        NativeMethods.Check(NativeMethods.ToFloats(_handle, &part, buffer.Pointer));
        return buffer;
    }

    /// <inheritdoc/>
    public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(biases);
        var outputs = 0;
        foreach (var part in parts)
        {
            if (part.Shape.Length != 2 || part.Shape[1] != parts[0].Shape[1] || part.Format != parts[0].Format)
            {
                throw new ArgumentException($"'{part.Name}' is {part}; stacked weights need two extents, the second {parts[0].Shape[^1]}, and one format", nameof(parts));
            }

            outputs = checked(outputs + (int)part.Shape[0]);
        }

        using var bias = HostBuffer.OfBiases(this, parts, biases);
        if (parts[0].Format != WeightFormat.AsStored)
        {
            return ImportPacked(parts, bias, outputs);
        }

        var native = stackalloc NativePart[parts.Count];
        for (var i = 0; i < parts.Count; i++)
        {
            native[i] = Part(parts[i], parts[i].Shape[0]);
        }

        var inputs = checked((int)parts[0].Shape[1]);
        NativeMethods.Check(NativeMethods.CreateWeight(
            _handle, native, parts.Count, inputs, bias is null ? null : bias.Pointer, (int)_weights, out var handle));
        return new NativeWeight(outputs, inputs, native[0], handle) { Memories = [handle, .. Memories(parts)] };
    }

    /// <inheritdoc/>
    public BackendWeight ImportTable(TensorView table)
    {
        ArgumentNullException.ThrowIfNull(table);
        return table.Shape.Length == 2
            ? new NativeWeight(checked((int)table.Shape[0]), checked((int)table.Shape[1]), Part(table, table.Shape[0]), null) { Memories = Memories([table]) }
            : throw new ArgumentException($"'{table.Name}' is {table}; a table has two extents", nameof(table));
    }

    /// <summary>Packs a matrix, on all threads.</summary>
    /// <param name="matrix">[out, in], element type F32, F16 or BF16.</param>
    /// <param name="format">Q8 or Q4.</param>
    /// <param name="memory">Takes the panels: <see cref="PackedWeights.Bytes"/> of them.</param>
    /// <param name="at">Where in the memory, a multiple of <see cref="PackedWeights.Alignment"/>.</param>
    /// <returns>The packed matrix, which lies in that memory.</returns>
    /// <exception cref="ArgumentException">The matrix, the format or the room is not as said.</exception>
    public TensorView Pack(TensorView matrix, WeightFormat format, NativeBuffer<byte> memory, long at = 0)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        ArgumentNullException.ThrowIfNull(memory);
        if (matrix.Shape.Length != 2)
        {
            throw new ArgumentException($"'{matrix.Name}' is {matrix}; a matrix has two extents", nameof(matrix));
        }

        var bytes = PackedWeights.Bytes(matrix.Shape[0], matrix.Shape[1], format);
        if (at < 0 || at % PackedWeights.Alignment != 0 || bytes > memory.Length - at)
        {
            throw new ArgumentException($"{bytes} bytes at {at} of {memory.Length}; expected room, at a multiple of {PackedWeights.Alignment}", nameof(at));
        }

        var part = Part(matrix, matrix.Shape[0]);
        NativeMethods.Check(NativeMethods.Quantize(_handle, &part, 1, matrix.Shape[1], (int)format, memory.Pointer + at, bytes));
        return new TensorView(matrix.Name, format, matrix.Shape[0], matrix.Shape[1], (nint)(memory.Pointer + at), bytes) { Memory = memory };
    }

    /// <summary>Reads a tensor's bytes on all threads and does nothing with them: how fast a matmul could be at best.</summary>
    public void Read(TensorView tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        NativeMethods.Check(NativeMethods.Read(_handle, (void*)tensor.Data, tensor.ByteLength));
    }

    /// <inheritdoc/>
    public long KvBytesPerRow(in KvShape shape) => checked(shape.Length * _kvType.Size());

    /// <inheritdoc/>
    public BackendKv AllocateKv(in KvShape shape) => new NativeKv(shape, _kvType);

    /// <inheritdoc/>
    public IForwardProgram Compile(ForwardPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return new NativeProgram(plan, _handle);
    }

    /// <summary>c = a b, or c += a b, on the calling thread alone; several threads may compute with one backend at once. native/nativespec.h has
    /// the arrangement of the operands.</summary>
    internal void Gemm(
        int m, int n, int k, float* a, int aStride, bool aByColumns, float* b, int bStride, int bPanel, float* c, int cStride, bool accumulate)
        => NativeMethods.Check(NativeMethods.Gemm(
            _handle, m, n, k, a, aStride, aByColumns ? 1 : 0, b, bStride, bPanel, c, cStride, accumulate ? 1 : 0));

    /// <inheritdoc/>
    public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to)
    {
        ArgumentNullException.ThrowIfNull(kv);
        ArgumentOutOfRangeException.ThrowIfNotEqual(to.Length, from.Length);
        var view = ((NativeKv)kv).View;
        fixed (int* source = from, target = to)
        {
            NativeMethods.Check(NativeMethods.MoveKvRows(&view, source, target, from.Length));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    /// <summary>The library's number for an element type.</summary>
    internal static int ElementType(DType type) => type switch
    {
        DType.F32 => 0,
        DType.F16 => 1,
        DType.BF16 => 2,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "expected F32, F16 or BF16"),
    };

    private static NativePart Part(TensorView tensor, long rows)
        => tensor.DType is DType.F32 or DType.F16 or DType.BF16
            ? new NativePart { Data = (void*)tensor.Data, Rows = rows, Type = ElementType(tensor.DType) }
            : throw new ArgumentException($"'{tensor.Name}' is {tensor}; the native backend computes with F32, F16 and BF16 weights", nameof(tensor));

    /// <summary>What parts lie in. Weights that were packed need it too: embeddings are looked up where they lie.</summary>
    private static IEnumerable<SafeHandle> Memories(IEnumerable<TensorView> parts) => [.. parts.Select(part => part.Memory).OfType<SafeHandle>().Distinct()];

    /// <summary>Weights that a checkpoint holds packed.</summary>
    private NativeWeight ImportPacked(IReadOnlyList<TensorView> parts, HostBuffer? bias, int outputs)
    {
        var (first, format) = (parts[0], parts[0].Format);
        if (_weights != WeightFormat.AsStored && _weights != format)
        {
            throw new ArgumentException(
                $"'{first.Name}' is {first}; {_weights.ToString().ToLowerInvariant()} weights are made from a checkpoint that is not packed", nameof(parts));
        }

        var stacked = PackedStack.LiesTogether(parts) ? null : PackedStack.Copy(parts, format);
        var bytes = PackedWeights.Bytes(outputs, first.Shape[1], format);
        NativeMethods.Check(NativeMethods.WeightFromPacked(
            stacked is null ? (void*)first.Data : stacked.Pointer, bytes, outputs, first.Shape[1], bias is null ? null : bias.Pointer, (int)format, out var handle));
        return new NativeWeight(outputs, (int)first.Shape[1], default, handle, stacked) { Memories = stacked is null ? [handle, .. Memories(parts)] : [handle, stacked] };
    }
}
