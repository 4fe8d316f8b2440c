using System.Buffers;
using System.Text;

namespace NativeSpec.Tokenization.Bpe;

/// <summary>The letters that byte-level BPE writes bytes with (GPT-2's <c>bytes_to_unicode</c>): printable Latin-1 stands for
/// itself, the other 68 bytes become U+0100 and on, in order.</summary>
internal static class ByteAlphabet
{
    private static readonly char[] ByteToChar = MakeLetters();
    private static readonly short[] CharToByte = MakeBytes();

    /// <summary>The letter of a byte.</summary>
    public static char Letter(byte value) => ByteToChar[value];

    /// <summary>The byte of a letter, or -1 where the character is no letter of the alphabet.</summary>
    public static int Byte(char letter) => letter < CharToByte.Length ? CharToByte[letter] : -1;

    /// <summary>The bytes that a token's text stands for; a text with any other character stands for its own UTF-8.</summary>
    public static byte[] Decode(string text)
    {
        var bytes = new byte[text.Length];
        for (var i = 0; i < text.Length; i++)
        {
            var value = Byte(text[i]);
            if (value < 0)
            {
                return Encoding.UTF8.GetBytes(text);
            }

            bytes[i] = (byte)value;
        }

        return bytes;
    }

    /// <summary>Whether every character of the text is a letter of the alphabet.</summary>
    public static bool Covers(string text) => text.All(c => Byte(c) >= 0);

    /// <summary>Reads the name of a byte token, <c>&lt;0x0A&gt;</c>: exactly two hexadecimal digits, so <c>&lt;0x-1&gt;</c> is no
    /// byte token. Returns -1 for every other text.</summary>
    public static int ParseByteToken(string text)
    {
        var isNamed = text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>';
        Span<byte> value = stackalloc byte[1];
        return isNamed && Convert.FromHexString(text.AsSpan(3, 2), value, out _, out _) == OperationStatus.Done ? value[0] : -1;
    }

    private static char[] MakeLetters()
    {
        var letters = new char[256];
        var next = 256;
        for (var b = 0; b < 256; b++)
        {
            var isPrintable = b is (>= 33 and <= 126) or (>= 161 and <= 172) or >= 174;
            letters[b] = (char)(isPrintable ? b : next++);
        }

        return letters;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[256 + 68];
        Array.Fill(bytes, (short)-1);
        for (var b = 0; b < 256; b++)
        {
            bytes[ByteToChar[b]] = (short)b;
        }

        return bytes;
    }
}
