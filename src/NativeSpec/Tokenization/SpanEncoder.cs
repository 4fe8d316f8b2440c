using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization;

/// <summary>An encoder that also notes which characters each token stands for: it lays the bytes of a piece's tokens along the piece's UTF-8. Where a token's
/// bytes are not what stands there (the unknown token; characters that were left out), it has everything up to where the next token stands. Takes time
/// linear in the piece.</summary>
internal sealed class SpanEncoder(PieceEncoder encoder, Vocabulary vocabulary) : PieceEncoder
{
    private readonly StringBuilder _text = new();
    private readonly List<TokenSpan> _spans = [];

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        var first = ids.Count;
        encoder.Encode(piece, ids);
        LayAlong(piece, CollectionsMarshal.AsSpan(ids)[first..]);
        _text.Append(piece);
    }

    /// <inheritdoc/>
    public override void Add(int id, ReadOnlySpan<char> text, List<int> ids)
    {
        ids.Add(id);
        _spans.Add(new(id, _text.Length, _text.Length + text.Length));
        _text.Append(text);
    }

    /// <summary>What was encoded.</summary>
    /// <param name="original">The text before anything was done to it.</param>
    public EncodedText Result(string original)
    {
        var text = _text.ToString();
        return new(text == original ? original : text, _spans);
    }

    private void LayAlong(ReadOnlySpan<char> piece, ReadOnlySpan<int> ids)
    {
        var at = new Place(0, 0);
        for (var i = 0; i < ids.Length; i++)
        {
            if (!TryMatch(piece, at, vocabulary.Bytes(ids[i]), out var end))
            {
                // One character each where unknown tokens follow one another.
                var isRun = i + 1 < ids.Length && ids[i + 1] == ids[i];
                end = isRun ? new(NextRune(piece, at.Char), 0) : i + 1 < ids.Length ? Find(piece, at, ids[i + 1]) : new(piece.Length, 0);
            }

            var last = end.Byte > 0 ? NextRune(piece, end.Char) : end.Char;
            _spans.Add(new(ids[i], _text.Length + at.Char, _text.Length + last));
            at = end;
        }
    }

    // Where the token stands next, from the following character on; the end where nowhere.
    private Place Find(ReadOnlySpan<char> piece, Place from, int id)
    {
        var next = vocabulary.Bytes(id);
        for (var c = NextRune(piece, from.Char); c < piece.Length; c = NextRune(piece, c))
        {
            if (TryMatch(piece, new(c, 0), next, out _))
            {
                return new(c, 0);
            }
        }

        return new(piece.Length, 0);
    }

    private static bool TryMatch(ReadOnlySpan<char> piece, Place at, ReadOnlySpan<byte> token, out Place end)
    {
        Span<byte> utf8 = stackalloc byte[4];
        end = at;
        while (!token.IsEmpty)
        {
            if (end.Char >= piece.Length)
            {
                return false;
            }

            // A space is a space, however the piece writes it.
            if (piece[end.Char] == Metaspace.Mark && end.Byte == 0 && token[0] == (byte)' ')
            {
                token = token[1..];
                end = new(end.Char + 1, 0);
                continue;
            }

            Rune.DecodeFromUtf16(piece[end.Char..], out var rune, out var chars);
            var rest = utf8[end.Byte..rune.EncodeToUtf8(utf8)];
            var length = Math.Min(rest.Length, token.Length);
            if (!rest[..length].SequenceEqual(token[..length]))
            {
                return false;
            }

            token = token[length..];
            end = length == rest.Length ? new(end.Char + chars, 0) : end with { Byte = end.Byte + length };
        }

        return true;
    }

    private static int NextRune(ReadOnlySpan<char> text, int index)
    {
        if (index >= text.Length)
        {
            return text.Length;
        }

        Rune.DecodeFromUtf16(text[index..], out _, out var chars);
        return index + chars;
    }

    /// <summary>A place in a text: a character, and how many bytes of its UTF-8 come before.</summary>
    private readonly record struct Place(int Char, int Byte);
}
