using System.Runtime.InteropServices;
using NativeSpec.Tensors;

namespace NativeSpec.Loading;

/// <summary>The tensors of a mapped file by name: views of the file itself, and of copies where they do not lie packed and aligned in it.
/// Owns the mapping and the copies.</summary>
internal sealed unsafe class MappedTensors : IDisposable
{
    // A cache line, and the widest vector.
    private const int CopyAlignment = 64;

    private readonly MappedFile _map;
    private readonly string _path;
    private readonly Dictionary<string, TensorView> _views;
    private byte* _copies;
    private bool _disposed;

    /// <summary>Makes the views.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="map">The mapping; the caller's to release if this throws.</param>
    /// <param name="tensors">Where the tensors lie, with names that differ.</param>
    /// <param name="mostCopied">Most bytes that are taken for copies.</param>
    /// <exception cref="ModelFormatException">The copies would take more.</exception>
    public MappedTensors(string path, MappedFile map, IReadOnlyCollection<MappedTensor> tensors, long mostCopied)
    {
        (_path, _map) = (path, map);
        CopiedBytes = tensors.Where(tensor => tensor.NeedsCopy(map.Data)).Sum(tensor => RoundUp(tensor.ByteLength));
        if (CopiedBytes > mostCopied)
        {
            throw new ModelFormatException(path, $"its tensors are not contiguous or not aligned to their element size and need a copy of {CopiedBytes} bytes; "
                + $"at most {mostCopied} are taken: save the file again with a current version of its library, or raise LoadLimits.MaxCopiedBytes");
        }

        _copies = CopiedBytes == 0 ? null : (byte*)NativeMemory.AlignedAlloc((nuint)CopiedBytes, CopyAlignment);
        _views = new Dictionary<string, TensorView>(tensors.Count);
        var copy = _copies;
        foreach (var tensor in tensors)
        {
            var at = map.Data + (nint)tensor.FileOffset;
            if (tensor.NeedsCopy(map.Data))
            {
                tensor.CopyTo((byte*)at, copy);
                at = (nint)copy;
                copy += RoundUp(tensor.ByteLength);
            }

            _views.Add(tensor.Name, new TensorView(tensor.Name, tensor.DType, tensor.Shape, at, tensor.ByteLength) { Memory = map.Handle });
        }
    }

    /// <summary>Bytes of memory taken for copies.</summary>
    public long CopiedBytes { get; }

    /// <summary>Bytes in the file.</summary>
    public long FileLength => _map.Length;

    /// <summary>Address of the first byte of the mapping.</summary>
    public nint MapStart => _map.Data;

    /// <summary>The tensors by name.</summary>
    /// <exception cref="ObjectDisposedException">The file is disposed.</exception>
    public IReadOnlyDictionary<string, TensorView> Views => _disposed ? throw new ObjectDisposedException(_path) : _views;

    /// <summary>Releases the copies and the mapping. The views refuse to be read from then on.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        NativeMemory.AlignedFree(_copies);
        _copies = null;
        _map.Dispose();
    }

    private static long RoundUp(long bytes) => checked(bytes + CopyAlignment - 1) / CopyAlignment * CopyAlignment;
}
