using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>The Unicode classes that split patterns speak of: <c>\p{L}</c>, <c>\p{N}</c>, <c>\p{M}</c>, <c>\s</c> and <c>\w</c>.
/// The Basic Multilingual Plane is a table made once; other planes ask the runtime.</summary>
internal static class CharClasses
{
    public const byte Letter = 1, Number = 2, Mark = 4, Space = 8, Word = 16;

    private static readonly byte[] Bmp = MakeTable();

    /// <summary>The class bits of the code point that begins at <paramref name="index"/>, and its length in UTF-16 units.</summary>
    public static byte At(ReadOnlySpan<char> text, int index, out int length)
    {
        var first = text[index];
        if (char.IsHighSurrogate(first) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            length = 2;
            return Classify(char.ConvertToUtf32(first, text[index + 1]));
        }

        length = 1;
        return Bmp[first];
    }

    /// <summary>The class bits of the code point that ends just before <paramref name="index"/>.</summary>
    public static byte Before(ReadOnlySpan<char> text, int index)
    {
        var isPair = index >= 2 && char.IsLowSurrogate(text[index - 1]) && char.IsHighSurrogate(text[index - 2]);
        return At(text, isPair ? index - 2 : index - 1, out _);
    }

    /// <summary>The end of the run of code points from <paramref name="index"/> on that have any of the bits.</summary>
    public static int RunEnd(ReadOnlySpan<char> text, int index, byte anyOf)
    {
        while (index < text.Length && (At(text, index, out var length) & anyOf) != 0)
        {
            index += length;
        }

        return index;
    }

    /// <summary>The end of the run of code points from <paramref name="index"/> on that have none of the bits.</summary>
    public static int RunEndWithout(ReadOnlySpan<char> text, int index, byte noneOf)
    {
        while (index < text.Length && (At(text, index, out var length) & noneOf) == 0)
        {
            index += length;
        }

        return index;
    }

    /// <summary>The text with each lone surrogate replaced by U+FFFD; the same instance where there is none.</summary>
    public static string WithoutLoneSurrogates(string text)
    {
        char[]? copy = null;
        for (var i = 0; i < text.Length;)
        {
            var found = text.AsSpan(i).IndexOfAnyInRange('\uD800', '\uDFFF');
            if (found < 0)
            {
                break;
            }

            i += found;
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                i += 2;
                continue;
            }

            copy ??= text.ToCharArray();
            copy[i++] = (char)Rune.ReplacementChar.Value;
        }

        return copy is null ? text : new string(copy);
    }

    private static byte[] MakeTable()
    {
        var table = new byte[char.MaxValue + 1];
        for (var c = 0; c < table.Length; c++)
        {
            table[c] = Classify(c);
        }

        return table;
    }

    private static byte Classify(int codePoint)
    {
        // White_Space lies wholly in the Basic Multilingual Plane, and char.IsWhiteSpace is that property.
        if (codePoint <= char.MaxValue && char.IsWhiteSpace((char)codePoint))
        {
            return Space;
        }

        return CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Letter | Word,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber => Number | Word,
            UnicodeCategory.OtherNumber => Number,
            UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => Mark | Word,
            UnicodeCategory.ConnectorPunctuation => Word,
            _ => codePoint is 0x200C or 0x200D ? Word : (byte)0,
        };
    }
}
