using System.Runtime.InteropServices;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>A tensor to be written by <see cref="SafetensorsWriter"/>: what it is called, what it looks like, and who writes its bytes.</summary>
public sealed class SafetensorsTensor
{
    private readonly long[] _shape;

    /// <summary>Describes a tensor.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="dtype">Its element type.</param>
    /// <param name="shape">Its extents, outermost first; empty for a scalar.</param>
    /// <param name="write">Writes its <see cref="ByteLength"/> bytes, row-major and little-endian, to the stream it is given. Called once
    /// by each write of the file, so a large tensor can be made piece by piece.</param>
    /// <exception cref="ArgumentException">The name is empty or reserved, an extent is negative, or the size overflows.</exception>
    public SafetensorsTensor(string name, DType dtype, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(write);
        if (name == "__metadata__" || name.AsSpan().ContainsAnyInRange('\0', '\u001f'))
        {
            throw new ArgumentException($"{MessageText.Quote(name)} cannot name a tensor", nameof(name));
        }

        Name = name;
        DType = dtype;
        Write = write;
        _shape = shape.ToArray();
        long bytes = dtype.Size();
        foreach (var extent in _shape)
        {
            if (extent < 0 || (extent > 0 && bytes > long.MaxValue / extent))
            {
                throw new ArgumentException($"tensor {MessageText.Quote(name)}: {dtype} [{string.Join(", ", _shape)}] is not a shape", nameof(shape));
            }

            bytes *= extent;
        }

        ByteLength = bytes;
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The element type.</summary>
    public DType DType { get; }

    /// <summary>The extents, outermost first.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>Bytes of all elements.</summary>
    public long ByteLength { get; }

    internal Action<Stream> Write { get; }

    /// <summary>Panels of a packed matrix: they come first in a file, where its data begin on a cache line, and each is whole cache lines.</summary>
    internal bool IsPacked { get; private init; }

    /// <summary>A matrix that is packed when its turn comes: U8 [panels, bytes of a panel].</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="format">The packed format.</param>
    /// <param name="outFeatures">Rows.</param>
    /// <param name="inFeatures">Columns.</param>
    /// <param name="write">Writes the panels.</param>
    internal static SafetensorsTensor Packed(string name, WeightFormat format, long outFeatures, long inFeatures, Action<Stream> write)
        => new(name, DType.U8, [PackedWeights.Panels(outFeatures), PackedWeights.PanelBytes(inFeatures, format)], write) { IsPacked = true };

    /// <summary>A tensor whose bytes are at hand.</summary>
    public static SafetensorsTensor FromBytes(string name, DType dtype, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> bytes) =>
        new(name, dtype, shape, stream => stream.Write(bytes.Span));

    /// <summary>An F32 tensor from values at hand.</summary>
    public static SafetensorsTensor FromFloats(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<float> values) =>
        new(name, DType.F32, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.Span)));

    /// <summary>A copy of a tensor of another file, under its own or a new name. The view's owner must live until the file is written.</summary>
    public static SafetensorsTensor FromView(TensorView view, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(view);
        if (view.Format != WeightFormat.AsStored)
        {
            return Packed(name ?? view.Name, view.Format, view.Shape[0], view.Shape[1], stream => CopyTo(stream, view));
        }

        return new SafetensorsTensor(name ?? view.Name, view.DType, view.Shape, stream => CopyTo(stream, view));
    }

    private static unsafe void CopyTo(Stream stream, TensorView view)
    {
        // A span holds at most 2 GiB, a tensor more.
        const int Piece = 1 << 24;
        for (long done = 0; done < view.ByteLength; done += Piece)
        {
            stream.Write(new ReadOnlySpan<byte>((byte*)view.Data + done, (int)Math.Min(Piece, view.ByteLength - done)));
        }
    }
}
