using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Unigram;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads a Unigram <c>model</c> of a tokenizer.json: pieces with their log-probabilities, in the order of their ids.</summary>
internal sealed class JsonUnigram : IJsonModel
{
    private readonly JsonPart _model;
    private readonly int _unknownId = -1;
    private readonly List<UnigramPiece> _pieces = [];

    /// <summary>Checks the model and reads its vocabulary into <paramref name="tokens"/>.</summary>
    public JsonUnigram(JsonPart model, Vocabulary.Builder tokens, JsonDecoder decoder, LoadLimits limits)
    {
        _model = model;
        foreach (var item in model.Required("vocab").Items())
        {
            if (item.Items().Take(3).ToArray() is not [var text, { Value.ValueKind: JsonValueKind.Number } score] || !double.IsFinite(score.Value.GetDouble()))
            {
                throw item.Bad("[\"piece\", log-probability]");
            }

            if (_pieces.Count == limits.MaxVocabSize)
            {
                throw item.Bad($"at most {limits.MaxVocabSize} pieces (LoadLimits.MaxVocabSize)");
            }

            tokens.Add(text.Text(), _pieces.Count, decoder.Decode(text.Text(), text));
            _pieces.Add(new(text.Text(), _pieces.Count, score.Value.GetDouble()));
        }

        if (model.Optional("unk_id") is { } unknown)
        {
            _unknownId = unknown.Int(0, _pieces.Count - 1);
        }
    }

    /// <inheritdoc/>
    public string Kind => "Unigram";

    /// <inheritdoc/>
    public bool MayCutAtWordStarts => false;

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
        int[]? byteIds = null;
        if (_model.Flag("byte_fallback", false))
        {
            byteIds = [.. Enumerable.Range(0, 256).Select(b => tokens.Ids.TryGetValue($"<0x{b:X2}>", out var id) ? id : -1)];
        }

        // Text that spells a control token or the name of a byte stays text.
        var pieces = _pieces.Where(p => p.Text.Length > 0 && !tokens.IsSpecial(p.Id) && (byteIds is null || ByteAlphabet.ParseByteToken(p.Text) < 0));
        return new UnigramModel(pieces, _unknownId, byteIds, _pieces.Select(p => p.Score).DefaultIfEmpty().Min(), single: false);
    }
}
