using System.Runtime.InteropServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cpu;

/// <summary>Weights where they lie: the mapped file's pages, read by the kernels in the file's own element type.</summary>
internal sealed unsafe class CpuWeight : BackendWeight, IHostWeight
{
    public CpuWeight(IReadOnlyList<TensorView> parts, HostBuffer? bias)
        : base(checked((int)parts.Sum(part => part.Shape[0])), checked((int)parts[0].Shape[1]))
    {
        Bias = bias;
        Memories = [.. parts.Select(part => part.Memory).OfType<SafeHandle>().Distinct()];
        Segments = new CpuSegment[parts.Count];
        var first = 0;
        for (var i = 0; i < parts.Count; i++)
        {
            var rows = (int)parts[i].Shape[0];
            Segments[i] = new CpuSegment((byte*)parts[i].Data, parts[i].DType, first, rows);
            first += rows;
        }
    }

    /// <summary>The stacked parts, in output order.</summary>
    public CpuSegment[] Segments { get; }

    /// <inheritdoc/>
    public IEnumerable<SafeHandle> Memories { get; }

    /// <summary>[out] or null.</summary>
    public HostBuffer? Bias { get; }

    public override void Dispose() => Bias?.Dispose();
}

/// <summary>One matrix of a stack: output rows [First, First + Rows).</summary>
internal readonly unsafe struct CpuSegment(byte* data, DType dtype, int first, int rows)
{
    public readonly byte* Data = data;
    public readonly DType DType = dtype;
    public readonly int First = first;
    public readonly int Rows = rows;
}

/// <summary>Keys and values: [layer][keys | values][row][kvHead][headDim] of F32 or BF16.</summary>
internal sealed unsafe class CpuKv(in KvShape shape, KvFormat format) : BackendKv(shape)
{
    private readonly NativeBuffer<byte> _memory = new(BytesOf(shape, format));

    /// <summary>Their element type.</summary>
    public KvFormat Format => format;

    /// <summary>Bytes of a row of keys, and of a row of values.</summary>
    public int RowBytes => Shape.Width * SizeOf(format);

    /// <exception cref="ObjectDisposedException">The cache is disposed.</exception>
    private byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
            return _memory.Pointer;
        }
    }

    private long PlaneBytes => (long)Shape.Rows * RowBytes;

    /// <summary>Bytes that a cache takes.</summary>
    public static long BytesOf(in KvShape shape, KvFormat format) => checked(shape.Length * SizeOf(format));

    /// <summary>[rows, kvHeads·headDim] of a layer.</summary>
    public byte* Keys(int layer) => Pointer + (2L * layer * PlaneBytes);

    /// <summary>[rows, kvHeads·headDim] of a layer.</summary>
    public byte* Values(int layer) => Pointer + (((2L * layer) + 1) * PlaneBytes);

    public override void Dispose() => _memory.Dispose();

    private static int SizeOf(KvFormat format) => format == KvFormat.BF16 ? BF16Format.Size : F32Format.Size;
}
