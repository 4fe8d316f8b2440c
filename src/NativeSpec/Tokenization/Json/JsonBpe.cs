using System.Text;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads a BPE <c>model</c> of a tokenizer.json: the vocabulary at once, the merges when the control tokens are known.</summary>
internal sealed class JsonBpe : IJsonModel
{
    private readonly JsonPart _model;
    private readonly int _unknownId = -1;
    private readonly Dictionary<string, int> _vocabulary = new(StringComparer.Ordinal);

    /// <summary>Checks the model and reads its vocabulary into <paramref name="tokens"/>.</summary>
    public JsonBpe(JsonPart model, Vocabulary.Builder tokens, JsonDecoder decoder, LoadLimits limits)
    {
        _model = model;
        if (model.Optional("type") is { } type && type.Text() != "BPE")
        {
            throw type.Unsupported($"the model {type.Text()}", "BPE or Unigram");
        }

        foreach (var name in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Optional(name) is { } affix && affix.Text().Length > 0)
            {
                throw affix.Unsupported($"'{affix.Text()}'", "no affix");
            }
        }

        if (model.Optional("dropout") is { } dropout && !(dropout.Value.ValueKind == JsonValueKind.Number && dropout.Value.GetDouble() == 0))
        {
            throw dropout.Unsupported("dropout", "none: the tokens of a text are fixed");
        }

        foreach (var (text, id) in model.Required("vocab").Members())
        {
            var value = id.Int(0, limits.MaxVocabSize - 1);
            tokens.Add(text, value, decoder.Decode(text, id));
            _vocabulary.Add(text, value);
        }

        FallsBackToBytes = model.Flag("byte_fallback", false);
        if (model.Optional("unk_token") is { } unknown && unknown.Text().Length > 0)
        {
            _unknownId = _vocabulary.TryGetValue(unknown.Text(), out var id) ? id : throw unknown.Bad("a token of the vocabulary");
        }
    }

    /// <summary>Whether characters without a token are spelled in bytes.</summary>
    public bool FallsBackToBytes { get; }

    /// <inheritdoc/>
    public string Kind => FallsBackToBytes ? "BPE with byte fallback" : "BPE";

    /// <summary>Whether no merge joins a <c>▁</c> to a character before it other than <c>▁</c>; known after <see cref="Build"/>.</summary>
    public bool MayCutAtWordStarts { get; private set; }

    /// <inheritdoc/>
    public void MarkUnknown(Vocabulary.Builder tokens)
    {
        if (_unknownId >= 0)
        {
            tokens.MarkSpecial(_unknownId);
        }
    }

    /// <inheritdoc/>
    public TokenModel Build(Vocabulary.Builder tokens, bool isByteLevel)
    {
        var whole = _model.Flag("ignore_merges", false) ? WholePieces(tokens, isByteLevel) : null;
        var merges = ReadMerges(tokens, isByteLevel);
        var fuse = _model.Flag("fuse_unk", false);
        if (isByteLevel)
        {
            return new ByteBpeModel(ByteIds(b => ByteAlphabet.Letter(b).ToString()), _unknownId, fuse, merges, whole);
        }

        var codePoints = new Dictionary<int, int>();
        foreach (var (text, id) in _vocabulary)
        {
            if (Rune.TryGetRuneAt(text.Length > 0 ? text : "\uD800", 0, out var rune) && rune.Utf16SequenceLength == text.Length)
            {
                codePoints.Add(rune.Value, id);
            }
        }

        // Where characters vanish, marks on either side of one become neighbours.
        MayCutAtWordStarts &= whole is null && _unknownId >= 0 && codePoints.ContainsKey(Metaspace.Mark);
        return new CharBpeModel(codePoints, FallsBackToBytes ? ByteIds(b => $"<0x{b:X2}>") : null, _unknownId, fuse, merges, whole);
    }

    // A merge can make no control token and no byte token: text that spells one stays text.
    private MergeTable ReadMerges(Vocabulary.Builder tokens, bool isByteLevel)
    {
        var part = _model.Required("merges");
        var table = new MergeTable(part.Value.ValueKind == JsonValueKind.Array ? part.Value.GetArrayLength() : 0);
        var rank = 0;
        MayCutAtWordStarts = !isByteLevel;
        foreach (var item in part.Items())
        {
            var (left, right) = ReadPair(item);
            if (!_vocabulary.TryGetValue(left, out var leftId) || !_vocabulary.TryGetValue(right, out var rightId)
                || !_vocabulary.TryGetValue(left + right, out var merged))
            {
                throw item.Bad("two tokens of the vocabulary that together are a token of the vocabulary");
            }

            if (!tokens.IsSpecial(merged) && (isByteLevel || ByteAlphabet.ParseByteToken(left + right) < 0))
            {
                table.Set(leftId, rightId, rank, merged);
                MayCutAtWordStarts &= right[0] != Metaspace.Mark || left[^1] == Metaspace.Mark;
                MayCutAtWordStarts &= !HasInnerWordStart(left) && !HasInnerWordStart(right);
            }

            rank++;
        }

        return table;
    }

    private static bool HasInnerWordStart(string token) => token.AsSpan().TrimStart(Metaspace.Mark).Contains(Metaspace.Mark);

    private static (string Left, string Right) ReadPair(JsonPart item)
    {
        string[] parts = item.Value.ValueKind == JsonValueKind.Array ? [.. item.Items().Select(p => p.Text())] : item.Text().Split(' ');
        return parts is [{ Length: > 0 } left, { Length: > 0 } right] ? (left, right) : throw item.Bad("\"left right\" or [\"left\", \"right\"]");
    }

    private Dictionary<byte[], int> WholePieces(Vocabulary.Builder tokens, bool isByteLevel)
    {
        var whole = new Dictionary<byte[], int>(_vocabulary.Count, TokenBytesComparer.Instance);
        foreach (var (text, id) in _vocabulary)
        {
            if (!tokens.IsSpecial(id) && (isByteLevel ? ByteAlphabet.Covers(text) : ByteAlphabet.ParseByteToken(text) < 0))
            {
                whole.Add(isByteLevel ? ByteAlphabet.Decode(text) : Encoding.UTF8.GetBytes(text), id);
            }
        }

        return whole;
    }

    // A byte without a token is unknown, as in Hugging Face's library; so is a character of which one byte is.
    private int[] ByteIds(Func<byte, string> name)
    {
        var ids = new int[256];
        for (var b = 0; b < ids.Length; b++)
        {
            ids[b] = _vocabulary.TryGetValue(name((byte)b), out var id) ? id : -1;
        }

        return ids;
    }
}
