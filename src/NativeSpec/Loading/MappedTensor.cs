using System.Runtime.CompilerServices;
using NativeSpec.Tensors;

namespace NativeSpec.Loading;

/// <summary>Where a tensor lies in a mapped file, checked: all its elements are inside.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">The element type.</param>
/// <param name="Shape">The extents, outermost first.</param>
/// <param name="Strides">Elements from one index of an extent to the next; null: packed, the last index running fastest.</param>
/// <param name="FileOffset">Byte of the file where element (0, 0, …) lies.</param>
/// <param name="ByteLength">Bytes of all elements, packed.</param>
internal sealed record MappedTensor(string Name, DType DType, long[] Shape, long[]? Strides, long FileOffset, long ByteLength)
{
    /// <summary>Whether the elements do not follow each other, or are not aligned where the file is mapped.</summary>
    public bool NeedsCopy(nint mapStart) => ByteLength > 0 && (!IsPacked() || (mapStart + FileOffset) % DType.Size() != 0);

    /// <summary>Copies the elements, packed.</summary>
    public unsafe void CopyTo(byte* from, byte* to)
    {
        if (IsPacked())
        {
            Buffer.MemoryCopy(from, to, ByteLength, ByteLength);
            return;
        }

        var size = DType.Size();
        var index = new long[Shape.Length];
        var source = from;
        for (long done = 0; done < ByteLength; done += size)
        {
            Unsafe.CopyBlockUnaligned(to + done, source, (uint)size);
            for (var i = Shape.Length - 1; i >= 0; i--)
            {
                source += Strides![i] * size;
                if (++index[i] < Shape[i])
                {
                    break;
                }

                source -= Shape[i] * Strides[i] * size;
                index[i] = 0;
            }
        }
    }

    private bool IsPacked()
    {
        var packed = 1L;
        for (var i = Shape.Length - 1; i >= 0 && Strides is not null; i--)
        {
            if (Shape[i] != 1 && Strides[i] != packed)
            {
                return false;
            }

            packed *= Shape[i];
        }

        return true;
    }
}
