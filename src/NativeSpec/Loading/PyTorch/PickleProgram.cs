using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace NativeSpec.Loading.PyTorch;

/// <summary>The bytes of a pickle, read from the first to the last: instructions and their arguments. Nothing is read past the end, and
/// every error says at which instruction.</summary>
internal sealed class PickleProgram(string file, byte[] pickle, LoadLimits limits)
{
    private int _at;
    private int _opcodeAt;

    /// <summary>Bytes not yet read.</summary>
    public int Left => pickle.Length - _at;

    /// <summary>Begins the next instruction.</summary>
    public byte NextOpcode()
    {
        _opcodeAt = _at;
        return Byte();
    }

    public byte Byte() => Bytes(1)[0];

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    /// <summary>A number in two's complement of as many bytes as it needs.</summary>
    public long Integer(int bytes)
    {
        if (bytes > sizeof(long))
        {
            throw Error($"a number of {bytes} bytes; sizes and offsets need at most {sizeof(long)}");
        }

        var digits = Bytes((uint)bytes);
        var value = bytes > 0 && (sbyte)digits[^1] < 0 ? -1L : 0;
        for (var i = bytes - 1; i >= 0; i--)
        {
            value = (value << 8) | digits[i];
        }

        return value;
    }

    /// <summary>A string of this many bytes of UTF-8.</summary>
    public string Text(uint bytes)
    {
        var utf8 = Bytes(bytes);
        return utf8.Length <= limits.MaxNameLength && Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8)
            : throw Error($"a string of {bytes} bytes, {MessageText.Plain(utf8)}; strings are at most {limits.MaxNameLength} bytes of "
                + "UTF-8 (LoadLimits.MaxNameLength)");
    }

    /// <summary>A string that a line feed ends.</summary>
    public string Line()
    {
        var end = pickle.AsSpan(_at).IndexOf((byte)'\n');
        if (end < 0)
        {
            throw Error("a name without end: the pickle is cut short");
        }

        var line = Text((uint)end);
        _at++;
        return line;
    }

    /// <summary>A frame says how many bytes to read ahead; there is nothing to read ahead here.</summary>
    public void Frame()
    {
        var bytes = BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));
        if (bytes > (ulong)Left)
        {
            throw Error($"a frame of {bytes} bytes where {Left} are left: the pickle is cut short");
        }
    }

    /// <summary>The error of the instruction at hand.</summary>
    public ModelFormatException Error(string problem) => new(file, $"data.pkl, byte {_opcodeAt}: {problem}");

    private ReadOnlySpan<byte> Bytes(uint count)
    {
        if (count > (uint)Left)
        {
            throw Error($"wants {count} bytes at byte {_at} of {pickle.Length}: the pickle is cut short");
        }

        var bytes = pickle.AsSpan(_at, (int)count);
        _at += (int)count;
        return bytes;
    }
}
