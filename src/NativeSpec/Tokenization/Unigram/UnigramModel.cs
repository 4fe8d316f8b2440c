using System.Runtime.InteropServices;
using NativeSpec.Tokenization.Bpe;

namespace NativeSpec.Tokenization.Unigram;

/// <summary>A piece of a Unigram model.</summary>
/// <param name="Text">Its text.</param>
/// <param name="Id">Its token.</param>
/// <param name="Score">Its log-probability.</param>
internal readonly record struct UnigramPiece(string Text, int Id, double Score);

/// <summary>A Unigram language model over pieces (Kudo, 2018): of all ways to spell a text in pieces, the one whose log-probabilities sum to
/// most (Viterbi, 1967). A character that no piece spells costs ten more than the unlikeliest piece.</summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;
    private const int Unknown = -1;

    private readonly MergeTable _children; // a trie: (node, character) to node
    private readonly List<int> _pieceAt = [-1]; // by node: the piece that ends there
    private readonly UnigramPiece[] _pieces;
    private readonly int[]? _byteIds;
    private readonly int _unknownId;
    private readonly double _unknownScore;
    private readonly bool _single;

    /// <summary>Makes the model.</summary>
    /// <param name="pieces">The pieces, each text once and none empty.</param>
    /// <param name="unknownId">The token for what no piece spells; -1 leaves it out.</param>
    /// <param name="byteIds">The tokens of the 256 bytes (-1 where there is none) if the model falls back to bytes, else null.</param>
    /// <param name="lowestScore">The lowest score of the file.</param>
    /// <param name="single">Whether scores are summed in single precision, as sentencepiece does; Hugging Face's tokenizers use double.</param>
    public UnigramModel(IEnumerable<UnigramPiece> pieces, int unknownId, int[]? byteIds, double lowestScore, bool single)
    {
        (_unknownId, _byteIds, _single) = (unknownId, byteIds, single);
        _unknownScore = Rounded(lowestScore - UnknownPenalty);
        _pieces = [.. pieces];
        _children = new(_pieces.Length);
        for (var piece = 0; piece < _pieces.Length; piece++)
        {
            var node = 0;
            foreach (var c in _pieces[piece].Text)
            {
                if (_children.Find(node, c, out var child) == MergeTable.NoRank)
                {
                    child = _pieceAt.Count;
                    _pieceAt.Add(-1);
                    _children.Set(node, c, 0, child);
                }

                node = child;
            }

            _pieceAt[node] = piece;
        }
    }

    /// <inheritdoc/>
    public override PieceEncoder CreateEncoder() => new Encoder(this);

    private double Rounded(double value) => _single ? (float)value : value;

    private sealed class Encoder(UnigramModel model) : PieceEncoder
    {
        private readonly List<(int Start, int Piece)> _path = [];
        private Node[] _best = [];

        /// <inheritdoc/>
        public override void Encode(ReadOnlySpan<char> piece, List<int> ids)
        {
            if (_best.Length <= piece.Length)
            {
                _best = new Node[piece.Length + 1];
            }

            FindBest(piece);
            _path.Clear();
            for (var end = piece.Length; end > 0; end = _best[end].Start)
            {
                _path.Add((_best[end].Start, _best[end].Piece));
            }

            _path.Reverse();
            Write(piece, ids);
        }

        // By place: the best way to spell the text before it.
        private void FindBest(ReadOnlySpan<char> text)
        {
            _best.AsSpan(0, text.Length + 1).Fill(new(double.NegativeInfinity, -1, Unknown));
            _best[0].Score = 0;
            for (var start = 0; start < text.Length;)
            {
                var length = char.IsHighSurrogate(text[start]) && start + 1 < text.Length ? 2 : 1;
                var hasSingle = false;
                var node = 0;
                for (var end = start; end < text.Length && model._children.Find(node, text[end], out node) != MergeTable.NoRank;)
                {
                    end++;
                    if (model._pieceAt[node] is >= 0 and var piece)
                    {
                        Offer(end, _best[start].Score + model._pieces[piece].Score, start, piece);
                        hasSingle |= end - start == length;
                    }
                }

                if (!hasSingle)
                {
                    Offer(start + length, _best[start].Score + model._unknownScore, start, Unknown);
                }

                start += length;
            }
        }

        private void Offer(int end, double score, int start, int piece)
        {
            score = model.Rounded(score);
            ref var best = ref _best[end];
            if (best.Start < 0 || score > best.Score)
            {
                best = new(score, start, piece);
            }
        }

        // Neighbouring unknown characters are one token, unless they are spelled in bytes.
        private void Write(ReadOnlySpan<char> text, List<int> ids)
        {
            for (var i = 0; i < _path.Count; i++)
            {
                var (start, piece) = _path[i];
                if (piece != Unknown)
                {
                    ids.Add(model._pieces[piece].Id);
                    continue;
                }

                while (i + 1 < _path.Count && _path[i + 1].Piece == Unknown)
                {
                    i++;
                }

                var end = i + 1 < _path.Count ? _path[i + 1].Start : text.Length;
                if (!TryWriteBytes(text[start..end], ids) && model._unknownId >= 0)
                {
                    ids.Add(model._unknownId);
                }
            }
        }

        private bool TryWriteBytes(ReadOnlySpan<char> text, List<int> ids)
        {
            if (model._byteIds is not { } byteIds)
            {
                return false;
            }

            var count = ids.Count;
            Span<byte> utf8 = stackalloc byte[4];
            foreach (var rune in text.EnumerateRunes())
            {
                foreach (var value in utf8[..rune.EncodeToUtf8(utf8)])
                {
                    ids.Add(byteIds[value]);
                }
            }

            if (CollectionsMarshal.AsSpan(ids)[count..].Contains(-1))
            {
                ids.RemoveRange(count, ids.Count - count);
                return false;
            }

            return true;
        }

        private record struct Node(double Score, int Start, int Piece);
    }
}
