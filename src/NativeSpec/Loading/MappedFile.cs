using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeSpec.Loading;

/// <summary>A file that stays open and lies whole in the address space, read-only. The mapping is released by <see cref="Dispose"/> and
/// only by it: a file that is forgotten keeps its addresses valid until the process ends.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _data;

    private MappedFile(SafeFileHandle handle, MemoryMappedFile map, MemoryMappedViewAccessor view, byte* data, long length)
    {
        _handle = handle;
        _map = map;
        _view = view;
        _data = data;
        Length = length;
    }

    /// <summary>Bytes in the file, read once when it was opened.</summary>
    public long Length { get; }

    /// <summary>The mapping: closed once this is disposed.</summary>
    public SafeHandle Handle => _view.SafeMemoryMappedViewHandle;

    /// <summary>Address of the first byte.</summary>
    public nint Data => (nint)_data;

    /// <summary>Maps an open file and takes the handle over, also when it fails.</summary>
    public static MappedFile Map(string path, SafeFileHandle handle, long length)
    {
        MemoryMappedFile? map = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            byte* data = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref data);
            return new MappedFile(handle, map, view, data + view.PointerOffset, length);
        }
        catch (Exception e)
        {
            view?.Dispose();
            map?.Dispose();
            handle.Dispose();
            if (RegularFile.IsFileError(e) || e is ArgumentException)
            {
                throw new ModelFormatException(path, $"cannot be mapped into memory ({length} bytes): {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>Releases the mapping and the file. Every address inside it is invalid from now on.</summary>
    public void Dispose()
    {
        if (_data is null)
        {
            return;
        }

        _data = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
        _handle.Dispose();
    }
}
