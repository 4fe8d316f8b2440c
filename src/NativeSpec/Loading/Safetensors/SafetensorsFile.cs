using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>A safetensors file, memory-mapped: its tensors are views of the file itself, so opening costs milliseconds whatever the size.
/// <para>Everything the header says is checked against the file when it is opened. The length is read once: a file that another program
/// shortens while it is mapped ends this process when the missing part is read (the operating system leaves no other way), so replace
/// checkpoints by renaming a new file over them, as <see cref="SafetensorsWriter"/> does.</para>
/// <para>The format does not promise aligned data, and some writers pad neither header nor tensors (mlx; the reference before 0.3.1). A
/// tensor whose elements are not aligned in the mapping is copied into memory where they are; see <see cref="CopiedBytes"/>.</para></summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    // A cache line, and the widest vector.
    private const int CopyAlignment = 64;

    private readonly MappedFile _map;
    private readonly Dictionary<string, TensorView> _tensors;
    private byte* _copies;
    private bool _disposed;

    private SafetensorsFile(string path, MappedFile map, int headerBytes, SafetensorsHeader header, LoadLimits limits)
    {
        Path = path;
        _map = map;
        Length = map.Length;
        Metadata = header.Metadata;
        _tensors = new Dictionary<string, TensorView>(header.Entries.Count);
        var data = map.Data + SafetensorsHeader.LengthBytes + headerBytes;
        CopiedBytes = CheckedCopySize(path, header, data, limits);
        _copies = CopiedBytes == 0 ? null : (byte*)NativeMemory.AlignedAlloc((nuint)CopiedBytes, CopyAlignment);
        var copy = _copies;
        foreach (var entry in header.Entries)
        {
            var at = data + (nint)entry.Begin;
            var bytes = entry.End - entry.Begin;
            if (IsMisaligned(entry, data))
            {
                Buffer.MemoryCopy((void*)at, copy, bytes, bytes);
                at = (nint)copy;
                copy += RoundUp(bytes);
            }

            _tensors.Add(entry.Name, new TensorView(entry.Name, entry.DType, entry.Shape, at, bytes) { Memory = map.Handle });
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; }

    /// <summary>Bytes of memory taken for tensors that do not lie aligned in the file; 0 for files of the usual writers.</summary>
    public long CopiedBytes { get; }

    /// <summary>The tensors by name. A view is valid until this file is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The file is disposed.</exception>
    public IReadOnlyDictionary<string, TensorView> Tensors
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _tensors;
        }
    }

    /// <summary>The header's <c>__metadata__</c>; empty when there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Address of the first byte of the mapping.</summary>
    internal nint MapStart => _map.Data;

    /// <summary>Opens a file and checks its header.</summary>
    /// <param name="path">A regular file, or a link to one.</param>
    /// <param name="limits">What the file may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">The file cannot be opened or is not a safetensors file that covers its data exactly.</exception>
    public static SafetensorsFile Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        var handle = RegularFile.Open(path, out var length);
        MappedFile? map = null;
        try
        {
            // The header is copied out of the file, so that what was checked is what is used, whatever happens to the file.
            var json = ReadHeader(path, handle, length, limits);
            var header = SafetensorsHeader.Parse(path, json, length - SafetensorsHeader.LengthBytes - json.Length, limits);
            map = MappedFile.Map(path, handle, length);
            return new SafetensorsFile(path, map, json.Length, header, limits);
        }
        catch
        {
            map?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Releases the mapping. Views of its tensors refuse to be read from then on.</summary>
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

    private static byte[] ReadHeader(string path, SafeFileHandle handle, long length, LoadLimits limits)
    {
        if (length < SafetensorsHeader.LengthBytes)
        {
            throw new ModelFormatException(path, $"holds {length} bytes; a safetensors file has at least {SafetensorsHeader.LengthBytes + 2}");
        }

        Span<byte> field = stackalloc byte[SafetensorsHeader.LengthBytes];
        RegularFile.ReadExactly(path, handle, field, 0);
        var headerBytes = SafetensorsHeader.CheckLength(path, BinaryPrimitives.ReadUInt64LittleEndian(field), length, limits);
        var json = GC.AllocateUninitializedArray<byte>(headerBytes);
        RegularFile.ReadExactly(path, handle, json, SafetensorsHeader.LengthBytes);
        return json;
    }

    private static long CheckedCopySize(string path, SafetensorsHeader header, nint data, LoadLimits limits)
    {
        var bytes = header.Entries.Where(entry => IsMisaligned(entry, data)).Sum(entry => RoundUp(entry.End - entry.Begin));
        return bytes <= limits.MaxCopiedBytes
            ? bytes
            : throw new ModelFormatException(path, $"its tensors are not aligned to their element size and need a copy of {bytes} bytes; "
                + $"at most {limits.MaxCopiedBytes} are taken: save the file again with a current safetensors, or raise LoadLimits.MaxCopiedBytes");
    }

    private static bool IsMisaligned(SafetensorsEntry entry, nint data) =>
        entry.End > entry.Begin && (data + entry.Begin) % entry.DType.Size() != 0;

    private static long RoundUp(long bytes) => checked(bytes + CopyAlignment - 1) / CopyAlignment * CopyAlignment;
}
