using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Normalization;

/// <summary>The compiled character map of a sentencepiece model (<c>precompiled_charsmap</c>): a double-array trie (Aoe, 1989; the units are
/// those of Darts-clone) from UTF-8 sequences to what replaces them. Every step within it is checked against its bounds.</summary>
internal sealed class CharacterMap
{
    private const int MaxReplacement = 256;

    private readonly uint[] _units;
    private readonly byte[] _replacements; // ended by zeros

    private CharacterMap(uint[] units, byte[] replacements) => (_units, _replacements) = (units, replacements);

    /// <summary>Reads a map; null where it is no sound one.</summary>
    public static CharacterMap? TryRead(ReadOnlySpan<byte> map)
    {
        if (map.Length < 4)
        {
            return null;
        }

        var size = BinaryPrimitives.ReadUInt32LittleEndian(map);
        if (size < 4 || size % 4 != 0 || size > (uint)map.Length - 4)
        {
            return null;
        }

        var units = new uint[size / 4];
        for (var i = 0; i < units.Length; i++)
        {
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(map[(4 + (4 * i))..]);
        }

        return new(units, map[(4 + (int)size)..].ToArray());
    }

    /// <summary>The text with the longest sequence that the map has replaced at each place, as sentencepiece does.</summary>
    public string ReplaceLongest(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        var result = new List<byte>(utf8.Length);
        for (var at = 0; at < utf8.Length;)
        {
            if (Find(utf8.AsSpan(at), longest: true, out var length) is >= 0 and var place)
            {
                result.AddRange(Replacement(place));
                at += length;
                continue;
            }

            Rune.DecodeFromUtf8(utf8.AsSpan(at), out _, out var consumed);
            result.AddRange(utf8.AsSpan(at, consumed));
            at += consumed;
        }

        return Encoding.UTF8.GetString([.. result]);
    }

    /// <summary>The text as Hugging Face's tokenizers map it: a short grapheme that begins with a sequence of the map is replaced as a whole,
    /// by what the shortest one becomes; others character by character.</summary>
    public string ReplaceGraphemes(string text)
    {
        var result = new StringBuilder(text.Length);
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var grapheme = rest[..StringInfo.GetNextTextElementLength(rest)];
            rest = rest[grapheme.Length..];
            if (Encoding.UTF8.GetByteCount(grapheme) < 6 && Find(grapheme) is { } whole)
            {
                result.Append(whole);
                continue;
            }

            while (!grapheme.IsEmpty)
            {
                var character = grapheme[..(char.IsHighSurrogate(grapheme[0]) && grapheme.Length > 1 ? 2 : 1)];
                grapheme = grapheme[character.Length..];
                if (Find(character) is { } mapped)
                {
                    result.Append(mapped);
                }
                else
                {
                    result.Append(character);
                }
            }
        }

        return result.ToString();
    }

    private string? Find(ReadOnlySpan<char> text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text.ToString());
        return Find(utf8, longest: false, out _) is >= 0 and var place ? Encoding.UTF8.GetString(Replacement(place)) : null;
    }

    // Where the replacement of a sequence at the start of the text stands, or -1.
    private int Find(ReadOnlySpan<byte> text, bool longest, out int length)
    {
        var found = -1;
        length = 0;
        long node = Offset(_units[0]);
        for (var i = 0; i < text.Length && text[i] != 0; i++)
        {
            node ^= text[i];
            if (node >= _units.Length)
            {
                break;
            }

            var unit = _units[node];
            if ((unit & 0x800000FF) != text[i])
            {
                break;
            }

            node ^= Offset(unit);
            if ((unit >> 8 & 1) == 0 || node >= _units.Length)
            {
                continue;
            }

            found = (int)(_units[node] & 0x7FFFFFFF);
            length = i + 1;
            if (!longest)
            {
                break;
            }
        }

        return found;
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & 0x200) >> 6);

    private ReadOnlySpan<byte> Replacement(int place)
    {
        var rest = _replacements.AsSpan(Math.Min(place, _replacements.Length));
        rest = rest[..Math.Min(MaxReplacement, rest.Length)];
        var end = rest.IndexOf((byte)0);
        return end < 0 ? rest : rest[..end];
    }
}
