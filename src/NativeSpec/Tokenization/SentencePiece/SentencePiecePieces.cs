using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Splitting;
using NativeSpec.Tokenization.Unigram;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>Makes a model of the pieces of a sentencepiece file. BPE: neighbours merge where their texts together are a piece, the highest
/// score first, then the leftmost; so a piece is entered under every pair of pieces or characters that spells it. Unused pieces merge
/// too, but do not stand for themselves.</summary>
internal static class SentencePiecePieces
{
    private const int MaxPieceLength = TokenBytesComparer.MaxTokenBytes;

    /// <summary>Makes the model.</summary>
    public static TokenModel Build(string file, List<Piece> pieces, TrainerSpec trainer)
    {
        var unknown = pieces.FindIndex(p => p.Type == PieceType.Unknown);
        if (unknown < 0 || pieces.FindLastIndex(p => p.Type == PieceType.Unknown) != unknown)
        {
            throw new ModelFormatException(file, "has no piece or several pieces of type UNKNOWN: expected one");
        }

        var fallsBackToBytes = trainer.FallsBackToBytes;
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var codePoints = new Dictionary<int, int>();
        var byteIds = new int[256];
        Array.Fill(byteIds, -1);
        for (var id = 0; id < pieces.Count; id++)
        {
            var (text, _, type) = pieces[id];
            if (type == PieceType.Byte)
            {
                byteIds[ByteAlphabet.ParseByteToken(text)] = id;
            }
            else if (type is PieceType.Normal or PieceType.Unused)
            {
                ids.Add(text, id);
                if (SingleCodePoint(text) is >= 0 and var codePoint)
                {
                    codePoints.Add(codePoint, id);
                }
            }
        }

        for (var b = 0; b < 256 && fallsBackToBytes; b++)
        {
            if (byteIds[b] < 0 && CharBpeModel.NeedsByte((byte)b, codePoints))
            {
                throw new ModelFormatException(file, $"has byte_fallback but neither a piece <0x{b:X2}> nor one of that character: expected either");
            }
        }

        if (!fallsBackToBytes)
        {
            byteIds = null;
        }

        var unused = Enumerable.Range(0, pieces.Count).Where(id => pieces[id].Type == PieceType.Unused).ToHashSet();
        return trainer.IsUnigram
            ? Unigram(pieces, unknown, byteIds)
            : new CharBpeModel(codePoints, byteIds, unknown, fuseUnknown: true, Merges(file, pieces, ids), null, unused.Count > 0 ? unused : null);
    }

    /// <summary>Whether <c>▁</c> is a piece and no piece has one after another character, so that words can be encoded one by one. What an
    /// unused piece is split into depends on the whole text, so there must be none.</summary>
    public static bool MayCutAtWordStarts(List<Piece> pieces, char space) => space == Metaspace.Mark
        && !pieces.Exists(p => p.Type == PieceType.Unused)
        && pieces.Exists(p => p.Type == PieceType.Normal && p.Text is [Metaspace.Mark])
        && pieces.TrueForAll(p => p.Type != PieceType.Normal || !p.Text.AsSpan().TrimStart(space).Contains(space));

    private static UnigramModel Unigram(List<Piece> pieces, int unknown, int[]? byteIds)
    {
        var normal = Enumerable.Range(0, pieces.Count).Where(id => pieces[id].Type == PieceType.Normal)
            .Select(id => new UnigramPiece(pieces[id].Text, id, pieces[id].Score)).ToArray();
        return new(normal, unknown, byteIds, normal.Select(p => p.Score).DefaultIfEmpty().Min(), single: true);
    }

    private static MergeTable Merges(string file, List<Piece> pieces, Dictionary<string, int> ids)
    {
        var ranks = RanksByScore(pieces);
        var find = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        var table = new MergeTable(pieces.Count);
        foreach (var (text, id) in ids)
        {
            if (text.Length > MaxPieceLength)
            {
                throw new ModelFormatException(file, $"piece {id} has {text.Length} characters: the most is {MaxPieceLength}");
            }

            for (var cut = 1; cut < text.Length; cut++)
            {
                if (!char.IsLowSurrogate(text[cut]) && Symbol(text.AsSpan(0, cut), find, out var left)
                    && Symbol(text.AsSpan(cut), find, out var right))
                {
                    table.Set(left, right, ranks[id], id);
                }
            }

            if (table.Count > MergeTable.MaxDerived)
            {
                throw new ModelFormatException(file, $"its pieces merge from more than {MergeTable.MaxDerived} pairs");
            }
        }

        return table;
    }

    // A part of a piece is a symbol when it is a piece, or one character without a piece.
    private static bool Symbol(ReadOnlySpan<char> text, Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> find, out int symbol)
    {
        if (find.TryGetValue(text, out symbol))
        {
            return true;
        }

        var codePoint = SingleCodePoint(text);
        symbol = ~codePoint;
        return codePoint >= 0;
    }

    // Equal scores are equal ranks: between them the leftmost pair merges first.
    private static int[] RanksByScore(List<Piece> pieces)
    {
        var order = Enumerable.Range(0, pieces.Count).ToArray();
        var scores = CollectionsMarshal.AsSpan(pieces).ToArray().Select(p => -p.Score).ToArray();
        Array.Sort(scores, order);
        var ranks = new int[order.Length];
        for (var i = 1; i < order.Length; i++)
        {
            ranks[order[i]] = ranks[order[i - 1]] + (scores[i] == scores[i - 1] ? 0 : 1);
        }

        return ranks;
    }

    private static int SingleCodePoint(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out var length) == System.Buffers.OperationStatus.Done && length == text.Length ? rune.Value : -1;
}
