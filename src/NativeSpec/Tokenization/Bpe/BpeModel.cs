using System.Text;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Bpe;

/// <summary>A BPE model: how a piece of text becomes symbols, which symbols merge, and how what is left becomes ids. A symbol is a token
/// id, or the complement <c>~x</c> of a byte or code point x that has no token of its own.</summary>
internal abstract class BpeModel(MergeTable merges, Dictionary<byte[], int>? wholePieces)
{
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>>? _wholePieces =
        wholePieces?.GetAlternateLookup<ReadOnlySpan<byte>>();

    /// <summary>A merger over this model's merges, for one call.</summary>
    public BpeMerger CreateMerger() => new(merges);

    /// <summary>Appends the ids of a piece.</summary>
    public void Encode(ReadOnlySpan<char> piece, BpeMerger merger, List<int> ids)
    {
        if (_wholePieces is { } whole && FindWhole(piece, whole) is >= 0 and var id)
        {
            ids.Add(id);
            return;
        }

        merger.Clear();
        Read(piece, merger);
        merger.Merge();
        Write(merger.Symbols, ids);
    }

    /// <summary>Appends the symbols of a piece, before any merge.</summary>
    protected abstract void Read(ReadOnlySpan<char> piece, BpeMerger merger);

    /// <summary>Appends the ids of the merged symbols.</summary>
    protected abstract void Write(ReadOnlySpan<int> symbols, List<int> ids);

    private static int FindWhole(ReadOnlySpan<char> piece, Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> whole)
    {
        Span<byte> bytes = stackalloc byte[TokenBytesComparer.MaxTokenBytes];
        return Encoding.UTF8.TryGetBytes(piece, bytes, out var written) && whole.TryGetValue(bytes[..written], out var id) ? id : -1;
    }
}

/// <summary>Byte-level BPE: the symbols are the bytes of the piece's UTF-8.</summary>
/// <param name="byteIds">The token of each of the 256 bytes, or -1.</param>
/// <param name="unknownId">The token for a byte without one; -1 leaves such a byte out, as Hugging Face's tokenizers do.</param>
/// <param name="merges">The merges.</param>
/// <param name="wholePieces">Pieces that are a token as they stand (<c>ignore_merges</c>, tiktoken), or null.</param>
internal sealed class ByteBpeModel(int[] byteIds, int unknownId, MergeTable merges, Dictionary<byte[], int>? wholePieces)
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
                merger.Add(byteIds[value] >= 0 ? byteIds[value] : ~value);
            }

            piece = piece[read..];
        }
    }

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<int> symbols, List<int> ids)
    {
        foreach (var symbol in symbols)
        {
            if (symbol >= 0 || unknownId >= 0)
            {
                ids.Add(symbol >= 0 ? symbol : unknownId);
            }
        }
    }
}

/// <summary>BPE over code points, with the bytes of a code point as its fallback (the Llama-2 kind).</summary>
/// <param name="codePoints">The token of each code point that has one.</param>
/// <param name="byteIds">The tokens of the 256 bytes (-1 where there is none) if the model falls back to bytes, else null.</param>
/// <param name="unknownId">The token for what has neither; -1 leaves it out.</param>
/// <param name="fuseUnknown">Whether neighbouring unknowns are one token.</param>
/// <param name="merges">The merges.</param>
/// <param name="wholePieces">Pieces that are a token as they stand, or null.</param>
internal sealed class CharBpeModel(
    Dictionary<int, int> codePoints, int[]? byteIds, int unknownId, bool fuseUnknown, MergeTable merges, Dictionary<byte[], int>? wholePieces)
    : BpeModel(merges, wholePieces)
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
            if (!char.IsHighSurrogate(piece[i]))
            {
                merger.Add(_bmp[piece[i]]);
                continue;
            }

            var codePoint = char.ConvertToUtf32(piece[i], piece[++i]);
            merger.Add(codePoints.TryGetValue(codePoint, out var id) ? id : ~codePoint);
        }
    }

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<int> symbols, List<int> ids)
    {
        var isAfterUnknown = false;
        foreach (var symbol in symbols)
        {
            var isUnknown = symbol < 0 && !TryWriteBytes(~symbol, ids);
            if (symbol >= 0)
            {
                ids.Add(symbol);
            }
            else if (isUnknown && unknownId >= 0 && !(fuseUnknown && isAfterUnknown))
            {
                ids.Add(unknownId);
            }

            isAfterUnknown = isUnknown;
        }
    }

    private bool TryWriteBytes(int codePoint, List<int> ids)
    {
        if (byteIds is null)
        {
            return false;
        }

        Span<byte> buffer = stackalloc byte[4];
        var utf8 = buffer[..new Rune(codePoint).EncodeToUtf8(buffer)];
        foreach (var value in utf8)
        {
            if (byteIds[value] < 0)
            {
                return false;
            }
        }

        foreach (var value in utf8)
        {
            ids.Add(byteIds[value]);
        }

        return true;
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
