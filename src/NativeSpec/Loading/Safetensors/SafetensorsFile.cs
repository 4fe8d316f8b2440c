using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>A safetensors file, memory-mapped: its tensors are views of the file itself, so opening costs milliseconds whatever the size.
/// <para>Everything the header says is checked against the file when it is opened. The length is read once: a file that another program
/// shortens while it is mapped ends this process when the missing part is read (the operating system leaves no other way), so replace
/// checkpoints by renaming a new file over them, as <see cref="SafetensorsWriter"/> does.</para>
/// <para>The format does not promise aligned data, and some writers pad neither header nor tensors (mlx; the reference before 0.3.1). A
/// tensor whose elements are not aligned in the mapping is copied into memory where they are; see <see cref="CopiedBytes"/>.</para></summary>
public sealed class SafetensorsFile : IDisposable
{
    private readonly MappedTensors _tensors;

    private SafetensorsFile(string path, MappedTensors tensors, IReadOnlyDictionary<string, string> metadata) =>
        (Path, _tensors, Metadata) = (path, tensors, metadata);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length => _tensors.FileLength;

    /// <summary>Bytes of memory taken for tensors that do not lie aligned in the file; 0 for files of the usual writers.</summary>
    public long CopiedBytes => _tensors.CopiedBytes;

    /// <summary>The tensors by name. A view is valid until this file is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The file is disposed.</exception>
    public IReadOnlyDictionary<string, TensorView> Tensors => _tensors.Views;

    /// <summary>The header's <c>__metadata__</c>; empty when there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Address of the first byte of the mapping.</summary>
    internal nint MapStart => _tensors.MapStart;

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
            var data = SafetensorsHeader.LengthBytes + json.Length;
            MappedTensor[] tensors = [.. header.Entries.Select(entry => new MappedTensor(entry.Name, entry.DType, entry.Shape, null, data + entry.Begin, entry.End - entry.Begin))];
            return new SafetensorsFile(path, new MappedTensors(path, map, tensors, limits.MaxCopiedBytes), header.Metadata);
        }
        catch
        {
            map?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Releases the mapping. Views of its tensors refuse to be read from then on.</summary>
    public void Dispose() => _tensors.Dispose();

    private static byte[] ReadHeader(string path, SafeFileHandle handle, long length, LoadLimits limits)
    {
        var start = new byte[Math.Min(length, FileKind.Bytes)];
        RegularFile.ReadExactly(path, handle, start, 0);
        if (length < SafetensorsHeader.LengthBytes)
        {
            throw new ModelFormatException(path, OtherKind(start) ?? $"holds {length} bytes; a safetensors file has at least {SafetensorsHeader.LengthBytes + 2}");
        }

        int headerBytes;
        try
        {
            headerBytes = SafetensorsHeader.CheckLength(path, BinaryPrimitives.ReadUInt64LittleEndian(start), length, limits);
        }
        catch (ModelFormatException error) when (OtherKind(start) is not null)
        {
            throw new ModelFormatException(path, OtherKind(start)!, error);
        }

        var json = GC.AllocateUninitializedArray<byte>(headerBytes);
        RegularFile.ReadExactly(path, handle, json, SafetensorsHeader.LengthBytes);
        return json;
    }

    // Only of a file whose length field is wrong: almost any 8 bytes can be one that is right.
    private static string? OtherKind(ReadOnlySpan<byte> start) =>
        FileKind.Find(start) ?? (FileKind.FindText(start) is { } text ? $"{text} and not a safetensors file: fetch it again" : null);
}
