using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Bpe;

/// <summary>A BPE model: how a piece of text becomes symbols, which symbols merge, and how what is left becomes ids. A symbol is a token
/// id, or the complement <c>~x</c> of a byte or code point x that has no token of its own.</summary>
internal abstract class BpeModel(MergeTable merges, Dictionary<byte[], int>? wholePieces, bool remembersParts = false) : TokenModel
{
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>>? _wholePieces =
        wholePieces?.GetAlternateLookup<ReadOnlySpan<byte>>();

    /// <inheritdoc/>
    public sealed override PieceEncoder CreateEncoder() => new Encoder(this, new(merges, remembersParts));

    /// <summary>Appends the symbols of a piece, before any merge.</summary>
    protected abstract void Read(ReadOnlySpan<char> piece, BpeMerger merger);

    /// <summary>Appends the ids of the merged symbols.</summary>
    protected abstract void Write(BpeMerger merger, List<int> ids);

    private static int FindWhole(ReadOnlySpan<char> piece, Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> whole)
    {
        Span<byte> bytes = stackalloc byte[TokenBytesComparer.MaxTokenBytes];
        return Encoding.UTF8.TryGetBytes(piece, bytes, out var written) && whole.TryGetValue(bytes[..written], out var id) ? id : -1;
    }

    private sealed class Encoder(BpeModel model, BpeMerger merger) : PieceEncoder
    {
        /// <inheritdoc/>
        public override void Encode(ReadOnlySpan<char> piece, List<int> ids)
        {
            if (model._wholePieces is { } whole && FindWhole(piece, whole) is >= 0 and var id)
            {
                ids.Add(id);
                return;
            }

            merger.Clear();
            model.Read(piece, merger);
            merger.Merge();
            model.Write(merger, ids);
        }
    }
}

/// <summary>Byte-level BPE: the symbols are the bytes of the piece's UTF-8.</summary>
/// <param name="byteIds">The token of each of the 256 bytes, or -1.</param>
/// <param name="unknownId">The token for a byte without one; -1 leaves such a byte out before anything merges, as Hugging Face's tokenizers
/// do: its neighbours become neighbours of each other.</param>
/// <param name="fuseUnknown">Whether neighbouring unknowns are one token.</param>
/// <param name="merges">The merges.</param>
/// <param name="wholePieces">Pieces that are a token as they stand (<c>ignore_merges</c>, tiktoken), or null.</param>
internal sealed class ByteBpeModel(int[] byteIds, int unknownId, bool fuseUnknown, MergeTable merges, Dictionary<byte[], int>? wholePieces)
    : BpeModel(merges, wholePieces)
{
    /// <inheritdoc/>
    protected override void Read(ReadOnlySpan<char> piece, BpeMerger merger)
    {
        Span<byte> utf8 = stackalloc byte[512];
        while (!piece.IsEmpty)
        {
            // The text holds no lone surrogates, so every stop lies between two code points and nothing is replaced.
            System.Text.Unicode.Utf8.FromUtf16(piece, utf8, out var read, out var written);
            foreach (var value in utf8[..written])
            {
                if (byteIds[value] >= 0 || unknownId >= 0)
                {
                    merger.Add(byteIds[value] >= 0 ? byteIds[value] : ~value);
                }
            }

            piece = piece[read..];
        }
    }

    /// <inheritdoc/>
    protected override void Write(BpeMerger merger, List<int> ids)
    {
        var isAfterUnknown = false;
        foreach (var symbol in merger.Symbols)
        {
            if (symbol >= 0 || !(fuseUnknown && isAfterUnknown))
            {
                ids.Add(symbol >= 0 ? symbol : unknownId);
            }

            isAfterUnknown = symbol < 0;
        }
    }
}

/// <summary>BPE over code points, with the bytes of a code point as its fallback (the Llama-2 kind).</summary>
/// <param name="codePoints">The token of each code point that has one.</param>
/// <param name="byteIds">The tokens of the 256 bytes (-1 where there is none) if the model falls back to bytes, else null.</param>
/// <param name="unknownId">The token for what has neither; -1 leaves it out before anything merges.</param>
/// <param name="fuseUnknown">Whether neighbouring unknowns are one token.</param>
/// <param name="merges">The merges.</param>
/// <param name="wholePieces">Pieces that are a token as they stand, or null.</param>
/// <param name="unused">Tokens that lead to longer ones but do not stand for themselves: one that is left at the end becomes again the two
/// symbols that it was last seen as (sentencepiece's UNUSED pieces); or null.</param>
internal sealed class CharBpeModel(
    Dictionary<int, int> codePoints, int[]? byteIds, int unknownId, bool fuseUnknown, MergeTable merges, Dictionary<byte[], int>? wholePieces,
    IReadOnlySet<int>? unused = null)
    : BpeModel(merges, wholePieces, remembersParts: unused is not null)
{
    private readonly int[] _bmp = MakeTable(codePoints);

    /// <summary>Whether a model that falls back to bytes needs a token for this one: not where the byte is in no UTF-8, and not where it is
    /// an ASCII character with a token of its own (the space is written <c>▁</c>).</summary>
    public static bool NeedsByte(byte value, Dictionary<int, int> codePoints) => value < 0x80
        ? !codePoints.ContainsKey(value == ' ' ? Metaspace.Mark : value)
        : value is not (0xC0 or 0xC1 or >= 0xF5);

    /// <inheritdoc/>
    protected override void Read(ReadOnlySpan<char> piece, BpeMerger merger)
    {
        for (var i = 0; i < piece.Length; i++)
        {
            var symbol = _bmp[piece[i]];
            if (char.IsHighSurrogate(piece[i]))
            {
                var codePoint = char.ConvertToUtf32(piece[i], piece[++i]);
                symbol = codePoints.TryGetValue(codePoint, out var id) ? id : ~codePoint;
            }

            if (symbol >= 0 || unknownId >= 0 || HasBytes(~symbol))
            {
                merger.Add(symbol);
            }
        }
    }

    /// <inheritdoc/>
    protected override void Write(BpeMerger merger, List<int> ids)
    {
        var isAfterUnknown = false;
        foreach (var symbol in unused is null ? merger.Symbols : CollectionsMarshal.AsSpan(SplitUnused(merger, unused)))
        {
            var isUnknown = symbol < 0 && !HasBytes(~symbol);
            if (symbol >= 0)
            {
                ids.Add(symbol);
            }
            else if (!isUnknown)
            {
                WriteBytes(~symbol, ids);
            }
            else if (!(fuseUnknown && isAfterUnknown))
            {
                ids.Add(unknownId);
            }

            isAfterUnknown = isUnknown;
        }
    }

    private static List<int> SplitUnused(BpeMerger merger, IReadOnlySet<int> unused)
    {
        var symbols = new List<int>();
        var rest = new Stack<int>();
        foreach (var symbol in merger.Symbols)
        {
            rest.Push(symbol);
            while (rest.TryPop(out var part))
            {
                if (unused.Contains(part) && merger.TryFindParts(part, out var left, out var right))
                {
                    rest.Push(right);
                    rest.Push(left);
                }
                else
                {
                    symbols.Add(part);
                }
            }
        }

        return symbols;
    }

    private bool HasBytes(int codePoint)
    {
        if (byteIds is null)
        {
            return false;
        }

        Span<byte> buffer = stackalloc byte[4];
        foreach (var value in buffer[..new Rune(codePoint).EncodeToUtf8(buffer)])
        {
            if (byteIds[value] < 0)
            {
                return false;
            }
        }

        return true;
    }

    private void WriteBytes(int codePoint, List<int> ids)
    {
        Span<byte> buffer = stackalloc byte[4];
        foreach (var value in buffer[..new Rune(codePoint).EncodeToUtf8(buffer)])
        {
            ids.Add(byteIds![value]);
        }
    }

    private static int[] MakeTable(Dictionary<int, int> codePoints)
    {
        var table = new int[char.MaxValue + 1];
        for (var c = 0; c < table.Length; c++)
        {
            table[c] = codePoints.TryGetValue(c, out var id) ? id : ~c;
        }

        return table;
    }
}
