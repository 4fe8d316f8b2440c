using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace NativeSpec.Loading.PyTorch;

/// <summary>A stored entry of a zip file: its bytes are [DataOffset, DataOffset + Length) of the file.</summary>
internal readonly record struct ZipEntry(string Name, long HeaderOffset, long DataOffset, long Length);

/// <summary>The directory of a zip file whose entries are stored, not compressed, as <c>torch.save</c> writes them: so that tensors are
/// used where they lie. Stricter than zip tools are: directory and entries must say the same, nothing may overlap, and the directory must
/// end the file.</summary>
/// <remarks>Fields and signatures as in PKWARE's APPNOTE 6.3, sections 4.3.6 to 4.3.16 and 4.5.3. Checksums are not compared: it would
/// read every byte of a file that is otherwise read when its weights are used, and PyTorch can leave them out.</remarks>
internal static class ZipDirectory
{
    private const uint LocalSignature = 0x04034b50;
    private const uint CentralSignature = 0x02014b50;
    private const uint EndSignature = 0x06054b50;
    private const uint End64Signature = 0x06064b50;
    private const uint Locator64Signature = 0x07064b50;
    private const int LocalBytes = 30;
    private const int CentralBytes = 46;
    private const int EndBytes = 22;
    private const int End64Bytes = 56;
    private const int Locator64Bytes = 20;

    // Sizes after the data (bit 3), names in UTF-8 (bit 11), hints to the compressor (bits 1 and 2); encryption and patches are not among them.
    private const int HarmlessFlags = 0x080E;

    // Besides the tensors' storages an archive holds a handful of small entries.
    private const int OtherEntries = 64;

    /// <summary>Reads and checks the directory.</summary>
    public static Dictionary<string, ZipEntry> Read(string path, SafeFileHandle handle, long length, LoadLimits limits)
    {
        var (offset, bytes, count) = FindDirectory(path, handle, length);
        if (bytes > limits.MaxHeaderBytes || count > limits.MaxTensors + (long)OtherEntries)
        {
            throw new ModelFormatException(path, $"its zip directory has {count} entries in {bytes} bytes; at most "
                + $"{limits.MaxTensors + (long)OtherEntries} "
                + $"in {limits.MaxHeaderBytes} are read (LoadLimits.MaxTensors, MaxHeaderBytes)");
        }

        var directory = new byte[bytes];
        RegularFile.ReadExactly(path, handle, directory, offset);
        var entries = new Dictionary<string, ZipEntry>((int)count);
        var at = 0;
        for (var i = 0L; i < count; i++)
        {
            var entry = ReadEntry(path, handle, directory, ref at, offset, limits);
            if (!entries.TryAdd(entry.Name, entry))
            {
                throw new ModelFormatException(path, $"its zip directory names {MessageText.Quote(entry.Name)} twice");
            }
        }

        if (at != directory.Length)
        {
            throw new ModelFormatException(path, $"its zip directory says {count} entries and has {directory.Length - at} "
                + "bytes after them");
        }

        RefuseOverlap(path, entries.Values, offset);
        return entries;
    }

    /// <summary>Follows the end records: the 32-bit one ends the file, and the 64-bit one, where there is one, lies right before it.</summary>
    private static (long Offset, long Bytes, long Count) FindDirectory(string path, SafeFileHandle handle, long length)
    {
        if (length < EndBytes)
        {
            throw new ModelFormatException(path, $"holds {length} bytes; a zip file has at least {EndBytes}");
        }

        var endOffset = length - EndBytes;
        var end = ReadBytes(path, handle, endOffset, EndBytes);
        if (U32(end, 0) != EndSignature || U16(end, 20) != 0)
        {
            throw new ModelFormatException(path, "does not end with a zip directory: it is cut short, or something was appended to it");
        }

        var (disk, count, bytes, offset) = (U16(end, 4) | U16(end, 6), (long)U16(end, 10), (long)U32(end, 12), (long)U32(end, 16));
        var split = disk != 0 || U16(end, 8) != count;
        var directoryEnd = endOffset;
        if (endOffset >= Locator64Bytes + End64Bytes
            && ReadBytes(path, handle, endOffset - Locator64Bytes, Locator64Bytes) is var locator && U32(locator, 0) == Locator64Signature)
        {
            directoryEnd = endOffset - Locator64Bytes - End64Bytes;
            var end64 = ReadBytes(path, handle, directoryEnd, End64Bytes);
            var (count64, bytes64, offset64) = (I64(end64, 32), I64(end64, 40), I64(end64, 48));
            if (U32(end64, 0) != End64Signature || I64(locator, 8) != directoryEnd || !Agrees(count, count64, ushort.MaxValue)
                || !Agrees(bytes, bytes64, uint.MaxValue) || !Agrees(offset, offset64, uint.MaxValue))
            {
                throw new ModelFormatException(path, "its 64-bit and 32-bit zip end records do not agree");
            }

            split |= (U32(end64, 16) | U32(end64, 20)) != 0 || I64(end64, 24) != count64;
            (count, bytes, offset) = (count64, bytes64, offset64);
        }

        if (split)
        {
            throw new ModelFormatException(path, "is one part of a zip file in several parts");
        }

        return offset >= 0 && bytes >= 0 && offset <= directoryEnd && bytes == directoryEnd - offset && count >= 0
            ? (offset, bytes, count)
            : throw new ModelFormatException(path, $"its zip directory of {count} entries should lie at byte {offset} and have {bytes} "
                + $"bytes; it must end at byte {directoryEnd}");
    }

    private static bool Agrees(long small, long large, long overflow) => small == overflow || small == large;

    private static ZipEntry ReadEntry(string path, SafeFileHandle handle, byte[] directory, ref int at, long directoryOffset, LoadLimits limits)
    {
        if (directory.Length - at < CentralBytes || U32(directory, at) != CentralSignature)
        {
            throw new ModelFormatException(path, $"its zip directory is damaged at byte {directoryOffset + at}");
        }

        var header = directory.AsSpan(at);
        int nameBytes = U16(header, 28), extraBytes = U16(header, 30), commentBytes = U16(header, 32);
        if (header.Length - CentralBytes < nameBytes + extraBytes + commentBytes)
        {
            throw new ModelFormatException(path, $"its zip directory is damaged at byte {directoryOffset + at}");
        }

        at += CentralBytes + nameBytes + extraBytes + commentBytes;
        var nameUtf8 = header.Slice(CentralBytes, nameBytes);
        if (nameBytes == 0 || nameBytes > limits.MaxNameLength || !Utf8.IsValid(nameUtf8))
        {
            throw new ModelFormatException(path, $"its zip directory has a name of {nameBytes} bytes, {MessageText.Plain(nameUtf8)}; "
                + $"names are 1 to {limits.MaxNameLength} bytes of UTF-8");
        }

        var name = Encoding.UTF8.GetString(nameUtf8);
        var (compressed, length, offset) = Sizes(header, header.Slice(CentralBytes + nameBytes, extraBytes));
        RequireStored(path, name, U16(header, 8), U16(header, 10));
        if (compressed != length || length < 0 || offset < 0 || offset > directoryOffset - LocalBytes)
        {
            throw new ModelFormatException(path, $"zip entry {MessageText.Quote(name)} of {length} bytes, {compressed} stored, cannot "
                + $"lie at byte {offset}");
        }

        // The entry repeats what the directory says. Readers that believe one of the two see different files.
        var local = ReadBytes(path, handle, offset, LocalBytes);
        var dataOffset = offset + LocalBytes + U16(local, 26) + U16(local, 28);
        if (U32(local, 0) != LocalSignature || U16(local, 26) != nameBytes
            || dataOffset > directoryOffset || length > directoryOffset - dataOffset
            || !ReadBytes(path, handle, offset + LocalBytes, nameBytes).AsSpan().SequenceEqual(nameUtf8))
        {
            throw new ModelFormatException(path, $"zip entry {MessageText.Quote(name)} of {length} bytes at byte {offset} is not what "
                + "the directory says");
        }

        RequireStored(path, name, U16(local, 6), U16(local, 8));
        return new ZipEntry(name, offset, dataOffset, length);
    }

    private static void RequireStored(string path, string name, int flags, int method)
    {
        if (method != 0 || (flags & ~HarmlessFlags) != 0)
        {
            throw new ModelFormatException(path, $"zip entry {MessageText.Quote(name)} is compressed or encrypted (method {method}, "
                + $"flags 0x{flags:x4}); "
                + "torch.save stores its entries as they are: save the file again with it");
        }
    }

    /// <summary>The sizes and the offset; what does not fit 32 bits stands in the extra field 1, in this order.</summary>
    private static (long Compressed, long Length, long Offset) Sizes(ReadOnlySpan<byte> header, ReadOnlySpan<byte> extra)
    {
        long compressed = U32(header, 20), length = U32(header, 24), offset = U32(header, 42);
        while (extra.Length >= 4)
        {
            var size = Math.Min(U16(extra, 2), extra.Length - 4);
            var field = extra.Slice(4, size);
            if (U16(extra, 0) == 1)
            {
                length = Widen(length, ref field);
                compressed = Widen(compressed, ref field);
                offset = Widen(offset, ref field);
            }

            extra = extra[(4 + size)..];
        }

        return (compressed, length, offset);
    }

    private static long Widen(long value, ref ReadOnlySpan<byte> field)
    {
        if (value != uint.MaxValue || field.Length < sizeof(long))
        {
            return value;
        }

        value = I64(field, 0);
        field = field[sizeof(long)..];
        return value;
    }

    private static void RefuseOverlap(string path, IEnumerable<ZipEntry> entries, long directoryOffset)
    {
        var end = 0L;
        foreach (var entry in entries.OrderBy(entry => entry.HeaderOffset))
        {
            if (entry.HeaderOffset < end)
            {
                throw new ModelFormatException(path, $"zip entry {MessageText.Quote(entry.Name)} at byte {entry.HeaderOffset} lies "
                    + $"inside another, which ends at {end}");
            }

            end = entry.DataOffset + entry.Length;
        }

        if (end > directoryOffset)
        {
            throw new ModelFormatException(path, $"its zip entries reach to byte {end}, into the directory at {directoryOffset}");
        }
    }

    private static byte[] ReadBytes(string path, SafeFileHandle handle, long offset, int count)
    {
        var bytes = new byte[count];
        RegularFile.ReadExactly(path, handle, bytes, offset);
        return bytes;
    }

    private static int U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
