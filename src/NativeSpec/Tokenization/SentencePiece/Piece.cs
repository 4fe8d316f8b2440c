using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>What a piece of a sentencepiece model is.</summary>
internal enum PieceType
{
    /// <summary>Text, made by merging.</summary>
    Normal = 1,

    /// <summary>What stands for text without a piece.</summary>
    Unknown = 2,

    /// <summary>A control token.</summary>
    Control = 3,

    /// <summary>Text that is always one token.</summary>
    UserDefined = 4,

    /// <summary>A piece that encoding does not make.</summary>
    Unused = 5,

    /// <summary>One byte.</summary>
    Byte = 6,
}

/// <summary>A piece of a sentencepiece model.</summary>
internal readonly record struct Piece(string Text, float Score, PieceType Type)
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Reads a SentencePiece message.</summary>
    public static Piece Read(string file, ReadOnlySpan<byte> message)
    {
        var text = "";
        var score = 0f;
        var type = (long)PieceType.Normal;
        var reader = new ProtobufReader(file, message, "pieces");
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1:
                    text = ReadText(file, reader.ReadBytes());
                    break;
                case 2:
                    score = reader.ReadFloat();
                    break;
                case 3:
                    type = reader.ReadInteger();
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        if (text.Length == 0 || !float.IsFinite(score) || type is < 1 or > 6)
        {
            throw new ModelFormatException(file, $"piece '{text}' has score {score} and type {type}: expected a text, a finite score and a type from 1 to 6");
        }

        if (type == (long)PieceType.Byte && ByteAlphabet.ParseByteToken(text) < 0)
        {
            throw new ModelFormatException(file, $"piece '{text}' is of type BYTE: expected a name from <0x00> to <0xFF>");
        }

        return new(text, score, (PieceType)type);
    }

    /// <summary>The bytes that the piece adds to a text.</summary>
    public byte[] Decode(char space) => Type switch
    {
        PieceType.Byte => [(byte)ByteAlphabet.ParseByteToken(Text)],
        PieceType.Control or PieceType.Unknown => Encoding.UTF8.GetBytes(Text),
        _ => Encoding.UTF8.GetBytes(Text.Replace(space, ' ')),
    };

    private static string ReadText(string file, ReadOnlySpan<byte> utf8)
    {
        try
        {
            return StrictUtf8.GetString(utf8);
        }
        catch (DecoderFallbackException error)
        {
            throw new ModelFormatException(file, $"a piece of {utf8.Length} bytes is no valid UTF-8", error);
        }
    }
}
