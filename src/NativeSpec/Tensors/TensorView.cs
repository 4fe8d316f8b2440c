using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace NativeSpec.Tensors;

/// <summary>A named, shaped, read-only look at bytes that somebody else owns (a mapped file, or memory a test made).
/// The view is valid while its owner lives; one that knows its owner says so afterwards. A matrix may be packed: then it has its extents still, but its bytes are a stream of panels
/// (see <see cref="PackedWeights"/>).</summary>
public sealed unsafe class TensorView
{
    private readonly byte* _data;
    private readonly long[] _shape;

    /// <summary>Makes a view. The caller has checked that <paramref name="byteLength"/> bytes lie at <paramref name="data"/>.</summary>
    /// <exception cref="ArgumentException">The shape's product times the element size is not <paramref name="byteLength"/>.</exception>
    public TensorView(string name, DType dtype, ReadOnlySpan<long> shape, nint data, long byteLength)
    {
        Name = name;
        DType = dtype;
        _shape = shape.ToArray();
        _data = (byte*)data;
        ByteLength = byteLength;
        long elements = 1;
        foreach (var extent in _shape)
        {
            elements = checked(elements * extent);
        }

        ElementCount = elements;
        if (checked(elements * dtype.Size()) != byteLength)
        {
            throw new ArgumentException($"tensor '{name}': {this} needs {elements * dtype.Size()} bytes, the view has {byteLength}", nameof(byteLength));
        }
    }

    /// <summary>Makes a view of a packed matrix [<paramref name="outFeatures"/>, <paramref name="inFeatures"/>].</summary>
    /// <exception cref="ArgumentException">A packed matrix of these extents does not have <paramref name="byteLength"/> bytes.</exception>
    public TensorView(string name, WeightFormat format, long outFeatures, long inFeatures, nint data, long byteLength)
    {
        Name = name;
        DType = DType.U8;
        Format = format;
        _shape = [outFeatures, inFeatures];
        _data = (byte*)data;
        ByteLength = byteLength;
        ElementCount = checked(outFeatures * inFeatures);
        if (PackedWeights.Bytes(outFeatures, inFeatures, format) is var bytes && bytes != byteLength)
        {
            throw new ArgumentException($"tensor '{name}': {this} needs {bytes} bytes, the view has {byteLength}", nameof(byteLength));
        }
    }

    /// <summary>The tensor's name in its checkpoint.</summary>
    public string Name { get; }

    /// <summary>How the elements lie: one after another, or packed.</summary>
    public WeightFormat Format { get; }

    /// <summary>The element type; of a packed matrix, bytes.</summary>
    public DType DType { get; }

    /// <summary>The extents, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>Product of the extents.</summary>
    public long ElementCount { get; }

    /// <summary>Bytes at <see cref="Data"/>.</summary>
    public long ByteLength { get; }

    /// <summary>What the bytes lie in, a mapping or a buffer; null where nobody said.</summary>
    internal SafeHandle? Memory { get; init; }

    /// <summary>Address of the first element.</summary>
    /// <exception cref="ObjectDisposedException">What the bytes lay in is disposed.</exception>
    public nint Data
    {
        get => Memory is { IsClosed: true }
            ? throw new ObjectDisposedException(Name, $"the checkpoint that tensor '{Name}' lies in is disposed")
            : (nint)_data;
    }

    /// <summary>The bytes.</summary>
    /// <exception cref="OverflowException">The tensor is larger than a span can be (2 GiB).</exception>
    public ReadOnlySpan<byte> Bytes => new((void*)Data, checked((int)ByteLength));

    /// <summary>The tensor for System.Numerics.Tensors, in place: shape as here (a scalar is [1]), valid as long as this view is.</summary>
    /// <typeparam name="T">The element type: float for F32, <see cref="Half"/> for F16, ushort for the bits of BF16 (<see cref="ToFloats"/> widens them), and so on; sbyte or byte for
    /// 8-bit floats and booleans.</typeparam>
    /// <exception cref="InvalidOperationException">The elements are not of that type, or packed.</exception>
    public ReadOnlyTensorSpan<T> AsTensorSpan<T>()
        where T : unmanaged
    {
        RequireStored();
        if (!IsElement<T>(DType))
        {
            throw new InvalidOperationException($"tensor '{Name}' has elements of {DType}, which are no {typeof(T).Name}");
        }

        return new((T*)Data, checked((nint)ElementCount), Extents);
    }

    /// <summary>A copy of an F32, F16 or BF16 tensor in single precision, which holds all values of the three exactly.</summary>
    /// <exception cref="InvalidOperationException">The elements are of another type, or packed.</exception>
    /// <exception cref="OverflowException">They are more than an array can hold.</exception>
    public Tensor<float> ToFloats()
    {
        RequireStored();
        var floats = new float[checked((int)ElementCount)];
        switch (DType)
        {
            case DType.F32:
                MemoryMarshal.Cast<byte, float>(Bytes).CopyTo(floats);
                break;
            case DType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(Bytes), floats);
                break;
            case DType.BF16:
                // The upper half of a float's bits.
                var bits = MemoryMarshal.Cast<float, uint>(floats.AsSpan());
                TensorPrimitives.ConvertTruncating<ushort, uint>(MemoryMarshal.Cast<byte, ushort>(Bytes), bits);
                TensorPrimitives.ShiftLeft<uint>(bits, 16, bits);
                break;
            default:
                throw new InvalidOperationException($"tensor '{Name}' has elements of {DType}; expected F32, F16 or BF16");
        }

        return Tensor.Create(floats, Extents);
    }

    private nint[] Extents => _shape.Length == 0 ? [1] : Array.ConvertAll(_shape, extent => checked((nint)extent));

    private static bool IsElement<T>(DType dtype) => dtype switch
    {
        DType.F64 => typeof(T) == typeof(double),
        DType.F32 => typeof(T) == typeof(float),
        DType.F16 => typeof(T) == typeof(Half),
        DType.BF16 or DType.U16 => typeof(T) == typeof(ushort),
        DType.I64 => typeof(T) == typeof(long),
        DType.I32 => typeof(T) == typeof(int),
        DType.I16 => typeof(T) == typeof(short),
        DType.U64 => typeof(T) == typeof(ulong),
        DType.U32 => typeof(T) == typeof(uint),
        _ => typeof(T) == typeof(byte) || typeof(T) == typeof(sbyte),
    };

    private void RequireStored()
    {
        if (Format != WeightFormat.AsStored)
        {
            throw new InvalidOperationException($"tensor '{Name}' is packed ({Format}): its bytes are panels and no array of elements");
        }
    }

    /// <summary>For messages: <c>BF16 [32000, 2048]</c>.</summary>
    public override string ToString() => $"{(Format == WeightFormat.AsStored ? DType : Format)} [{string.Join(", ", _shape)}]";
}
