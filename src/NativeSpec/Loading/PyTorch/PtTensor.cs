using NativeSpec.Tensors;

namespace NativeSpec.Loading.PyTorch;

/// <summary>Finds tensors of a PyTorch file in their storages: every element that shape and strides reach must lie inside.</summary>
internal static class PtTensor
{
    /// <summary>Looks a tensor up in its storage.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="name">The key in the state dict.</param>
    /// <param name="tensor">What the pickle says.</param>
    /// <param name="entry">The storage's entry, null if there is none.</param>
    public static MappedTensor Bind(string path, string name, PickledTensor tensor, ZipEntry? entry)
    {
        var (storage, size) = (tensor.Storage, tensor.Storage.DType.Size());
        if (entry is not { } data || data.Length % size != 0 || data.Length / size != storage.Elements)
        {
            throw new ModelFormatException(path, $"tensor {MessageText.Quote(name)} lies in storage {MessageText.Quote(storage.Key)} of "
                + $"{storage.Elements} {storage.DType}; "
                + (entry is { } found ? $"zip entry {MessageText.Quote(found.Name)} holds {found.Length} bytes" : "the file has no such entry"));
        }

        // More elements than the storage has means that some are used twice (an expanded tensor): a small file asking for much.
        var elements = Elements(tensor.Shape);
        var last = elements == 0 ? tensor.Offset - 1 : Last(tensor, storage.Elements);
        if (elements < 0 || elements > storage.Elements || last >= storage.Elements)
        {
            throw new ModelFormatException(path, $"tensor {MessageText.Quote(name)} [{string.Join(", ", tensor.Shape)}] with strides "
                + $"[{string.Join(", ", tensor.Strides)}] "
                + $"from element {tensor.Offset} does not fit its storage of {storage.Elements}");
        }

        return new MappedTensor(name, storage.DType, tensor.Shape, tensor.Strides, data.DataOffset + (tensor.Offset * size), elements * size);
    }

    /// <summary>Product of the extents; −1 where it is past all files.</summary>
    private static long Elements(long[] shape)
    {
        var elements = 1L;
        foreach (var extent in shape)
        {
            if (extent != 0 && elements > long.MaxValue / extent)
            {
                return -1;
            }

            elements *= extent;
        }

        return elements;
    }

    /// <summary>The storage's element that the last index reaches, or something past <paramref name="end"/>.</summary>
    private static Int128 Last(PickledTensor tensor, long end)
    {
        // A product of two longs and what is below the end fit 128 bits.
        Int128 last = tensor.Offset;
        for (var i = 0; i < tensor.Shape.Length && last < end; i++)
        {
            last += (Int128)(tensor.Shape[i] - 1) * tensor.Strides[i];
        }

        return last;
    }
}
