using System.Buffers.Binary;
using NativeSpec.Loading;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>Reads the fields of one protobuf message (the encoding of protobuf.dev/programming-guides/encoding). Every length is checked
/// against what is left before anything is read.</summary>
internal ref struct ProtobufReader(string file, ReadOnlySpan<byte> message, string name)
{
    private const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    private ReadOnlySpan<byte> _rest = message;
    private int _wireType;

    /// <summary>The number of the field that <see cref="Next"/> found.</summary>
    public int Field { get; private set; }

    /// <summary>Goes on to the next field, whose value must then be read or skipped; false at the end of the message.</summary>
    public bool Next()
    {
        if (_rest.IsEmpty)
        {
            return false;
        }

        var tag = ReadRawVarint();
        Field = tag >> 3 is > 0 and < 1 << 29 ? (int)(tag >> 3) : throw Bad($"field number {tag >> 3}");
        _wireType = (int)(tag & 7);
        return true;
    }

    /// <summary>Reads an integer, which in the format may have up to 64 bits.</summary>
    public long ReadInteger()
    {
        Expect(Varint);
        return (long)ReadRawVarint();
    }

    /// <summary>Reads a flag.</summary>
    public bool ReadFlag() => ReadInteger() != 0;

    /// <summary>Reads a 32-bit float.</summary>
    public float ReadFloat()
    {
        Expect(Fixed32);
        return BinaryPrimitives.ReadSingleLittleEndian(Take(4));
    }

    /// <summary>Reads bytes: a string or a message.</summary>
    public ReadOnlySpan<byte> ReadBytes()
    {
        Expect(Bytes);
        return Take(ReadRawVarint());
    }

    /// <summary>Goes past the value.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case Varint:
                ReadRawVarint();
                break;
            case Fixed64:
                Take(8);
                break;
            case Bytes:
                Take(ReadRawVarint());
                break;
            case Fixed32:
                Take(4);
                break;
            default:
                throw Bad($"wire type {_wireType} in field {Field}");
        }
    }

    private void Expect(int wireType)
    {
        if (_wireType != wireType)
        {
            throw Bad($"field {Field} has wire type {_wireType}, expected {wireType}");
        }
    }

    private ulong ReadRawVarint()
    {
        ulong value = 0;
        for (var i = 0; i < _rest.Length && i < 10; i++)
        {
            value |= (ulong)(_rest[i] & 0x7F) << (7 * i);
            if (_rest[i] < 0x80)
            {
                _rest = _rest[(i + 1)..];
                return value;
            }
        }

        throw Bad("an integer that does not end");
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)_rest.Length)
        {
            throw Bad($"field {Field} needs {length} bytes, {_rest.Length} are left");
        }

        var taken = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return taken;
    }

    private readonly ModelFormatException Bad(string problem) =>
        new(file, $"is no sound sentencepiece model: {name}: {problem}; is the file cut off or something else?");
}
