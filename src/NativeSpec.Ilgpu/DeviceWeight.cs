using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Tensors;

namespace NativeSpec.Ilgpu;

/// <summary>A vector on a device.</summary>
internal sealed class DeviceVector(DeviceBuffer<float> memory) : BackendVector(memory.Length)
{
    public DeviceBuffer<float> Memory => memory;

    public override void Dispose() => memory.Dispose();
}

/// <summary>A stack of matrices on a device, in the forms in which a program needs it: as panels for products, as it is for embeddings. Each is uploaded when the first program that needs it is compiled.</summary>
internal sealed class DeviceWeight : BackendWeight
{
    private readonly IlgpuBackend _backend;
    private readonly IReadOnlyList<TensorView> _parts;
    private readonly WeightFormat _packed;
    private DeviceBuffer<byte>? _panels;
    private DeviceBuffer<byte>? _table;

    public DeviceWeight(IlgpuBackend backend, IReadOnlyList<TensorView> parts, float[]? bias, WeightFormat packed)
        : base(checked((int)parts.Sum(part => part.Shape[0])), checked((int)parts[0].Shape[1]))
    {
        (_backend, _parts, _packed) = (backend, parts, packed);
        if (bias is not null)
        {
            Bias = backend.Device.Allocate<float>(bias.Length);
            Bias.Upload(bias);
        }

        Format = packed switch
        {
            WeightFormat.Q8 => MatrixFormat.Q8,
            WeightFormat.Q4 => MatrixFormat.Q4,
            _ when parts.Any(part => part.DType != parts[0].DType) => MatrixFormat.F32,
            _ => FormatOf(parts[0].DType),
        };
        UsesTiles = Format == MatrixFormat.BF16 && backend.Device.HasTensorCores;
        Chunks = (int)DeviceRows.Whole(InFeatures, MatMul.Columns) / MatMul.Columns;
        Outputs = (int)DeviceRows.Whole(OutFeatures, MatMul.Lanes);
        SegmentChunks = MatMul.SegmentChunks(Outputs, Chunks);
        Segments = (Chunks + SegmentChunks - 1) / SegmentChunks;
    }

    /// <summary>How the panels lie.</summary>
    public MatrixFormat Format { get; }

    /// <summary>Whether tensor cores take the products: a matter of the device and the weights, never of the rows.</summary>
    public bool UsesTiles { get; }

    /// <summary>Steps of tensor cores over the columns.</summary>
    public int Steps => (Chunks + 1) / 2;

    /// <summary>How a table lies.</summary>
    public MatrixFormat TableFormat => FormatOf(_parts[0].DType);

    /// <summary>[out] or null.</summary>
    public DeviceBuffer<float>? Bias { get; }

    /// <summary>Outputs, rounded up to whole panels.</summary>
    public int Outputs { get; }

    /// <summary>Chunks of the columns.</summary>
    public int Chunks { get; }

    /// <summary>Chunks of a segment.</summary>
    public int SegmentChunks { get; }

    /// <summary>Segments that the columns are cut into.</summary>
    public int Segments { get; }

    /// <summary>Whether it is disposed.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>The panels.</summary>
    public DeviceBuffer<byte> Panels()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return _panels ??= _packed == WeightFormat.AsStored ? PackPanels() : UploadPacked();
    }

    /// <summary>The panels, for kernels.</summary>
    public Matrix Matrix()
    {
        var panels = Panels();
        return new Matrix { Fours = panels.As<Word4>(), Words = panels.As<uint>(), Halves = panels.As<ushort>(), Chunks = Chunks };
    }

    /// <summary>[out, in] as the file has it.</summary>
    public DeviceBuffer<byte> Table()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (_table is null)
        {
            if (_parts.Count != 1 || _parts[0].Format != WeightFormat.AsStored)
            {
                throw new ArgumentException($"'{_parts[0].Name}' is {_parts[0]}; packed and stacked weights cannot be looked up as embeddings");
            }

            _table = _backend.Device.Allocate<byte>(_parts[0].ByteLength);
            Upload(_table, _parts[0].Data, _parts[0].ByteLength);
        }

        return _table;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        IsDisposed = true;
        _panels?.Dispose();
        _table?.Dispose();
        Bias?.Dispose();
    }

    /// <summary>The numbers of a tensor as floats.</summary>
    public static float[] Floats(TensorView tensor)
    {
        var values = new float[tensor.ElementCount];
        Widen(tensor, 0, values);
        return values;
    }

    private static unsafe void Widen(TensorView tensor, long first, Span<float> into)
    {
        for (var i = 0; i < into.Length; i++)
        {
            into[i] = tensor.DType switch
            {
                DType.F32 => ((float*)tensor.Data)[first + i],
                DType.F16 => (float)((Half*)tensor.Data)[first + i],
                _ => BitConverter.UInt32BitsToSingle((uint)((ushort*)tensor.Data)[first + i] << 16),
            };
        }
    }

    /// <summary>Uploads the numbers as floats, a few at a time: a whole matrix of them would be in the host's memory twice.</summary>
    private static void UploadFloats(DeviceBuffer<float> to, TensorView tensor)
    {
        var some = new float[Math.Min(1 << 20, tensor.ElementCount)];
        for (var at = 0L; at < tensor.ElementCount; at += some.Length)
        {
            var next = some.AsSpan(0, (int)Math.Min(some.Length, tensor.ElementCount - at));
            Widen(tensor, at, next);
            to.Upload(next, at);
        }
    }

    private static MatrixFormat FormatOf(DType type) => type switch
    {
        DType.F32 => MatrixFormat.F32,
        DType.F16 => MatrixFormat.F16,
        _ => MatrixFormat.BF16,
    };

    private static unsafe void Upload(DeviceBuffer<byte> to, nint from, long bytes)
    {
        const int Most = 1 << 28;
        for (var at = 0L; at < bytes; at += Most)
        {
            to.Upload(new ReadOnlySpan<byte>((byte*)from + at, (int)Math.Min(Most, bytes - at)), at);
        }
    }

    /// <summary>Lays the parts out in panels, on the device.</summary>
    private DeviceBuffer<byte> PackPanels()
    {
        var (device, kernels) = (_backend.Device, _backend.Device.Kernels);
        var columns = UsesTiles ? Steps * MatMulTiles.Columns : Chunks * MatMul.Columns;
        var panels = device.Allocate<byte>(checked((long)Outputs * columns * (Format == MatrixFormat.F32 ? 4 : 2)));
        var first = 0;
        foreach (var part in _parts)
        {
            var (rows, fours) = (checked((int)part.Shape[0]), panels.As<Word4>());
            if (Format == MatrixFormat.F32)
            {
                using var source = device.Allocate<float>(part.ElementCount);
                UploadFloats(source, part);
                kernels.PackFloats.Launch((long)rows * Chunks, new PackWeights.Arguments<float> { Source = source.View, Fours = fours, First = first, In = InFeatures, Chunks = Chunks });
                device.Synchronize();
            }
            else
            {
                using var source = device.Allocate<byte>(part.ByteLength);
                Upload(source, part.Data, part.ByteLength);
                if (UsesTiles)
                {
                    kernels.PackTiles.Launch((long)rows * columns / 2, new MatMulTiles.PackArguments { Source = source.As<ushort>(), Words = panels.As<uint>(), First = first, In = InFeatures, Steps = Steps });
                }
                else
                {
                    kernels.PackHalves.Launch((long)rows * Chunks, new PackWeights.Arguments<ushort> { Source = source.As<ushort>(), Fours = fours, First = first, In = InFeatures, Chunks = Chunks });
                }

                device.Synchronize();
            }

            first += rows;
        }

        return panels;
    }

    /// <summary>The processor's panels, from the file or packed now.</summary>
    private DeviceBuffer<byte> UploadPacked()
    {
        List<NativeBuffer<byte>> made = [];
        try
        {
            var parts = _parts;
            if (parts[0].Format == WeightFormat.AsStored)
            {
                parts = [.. parts.Select(part =>
                {
                    made.Add(new NativeBuffer<byte>(PackedWeights.Bytes(part.Shape[0], part.Shape[1], _packed)));
                    return _backend.Packer.Pack(part, _packed, made[^1]);
                })];
            }

            var bytes = PackedWeights.Bytes(OutFeatures, InFeatures, _packed);
            var panels = _backend.Device.Allocate<byte>(bytes);
            if (PackedStack.LiesTogether(parts))
            {
                Upload(panels, parts[0].Data, bytes);
            }
            else
            {
                var stack = PackedStack.Copy(parts, _packed);
                made.Add(stack);
                Upload(panels, AddressOf(stack), bytes);
            }

            return panels;
        }
        finally
        {
            made.ForEach(buffer => buffer.Dispose());
        }
    }

    private static unsafe nint AddressOf(NativeBuffer<byte> buffer) => (nint)buffer.Pointer;
}
