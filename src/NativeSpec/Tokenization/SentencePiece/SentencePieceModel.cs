using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>Reads a sentencepiece <c>tokenizer.model</c> of type BPE or Unigram (the messages of sentencepiece_model.proto).</summary>
internal static class SentencePieceModel
{
    /// <summary>Reads the file.</summary>
    public static TokenizerParts Read(string file, ReadOnlySpan<byte> bytes, TokenizerConfig config, LoadLimits limits)
    {
        var pieces = new List<Piece>();
        TrainerSpec? trainer = null;
        NormalizerSpec? normalizerSpec = null;
        var reader = new ProtobufReader(file, bytes, "ModelProto");
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1:
                    if (pieces.Count == limits.MaxVocabSize)
                    {
                        throw new ModelFormatException(file, $"more than {limits.MaxVocabSize} pieces (LoadLimits.MaxVocabSize)");
                    }

                    pieces.Add(Piece.Read(file, reader.ReadBytes()));
                    break;
                case 2:
                    trainer = TrainerSpec.Read(file, reader.ReadBytes());
                    break;
                case 3:
                    normalizerSpec = NormalizerSpec.Read(file, "normalizer_spec", reader.ReadBytes());
                    break;
                case 5:
                    if (NormalizerSpec.Read(file, "denormalizer_spec", reader.ReadBytes()).Map is not null)
                    {
                        throw new ModelFormatException(file, "denormalizer_spec: a character map for decoding is not supported: expected none");
                    }

                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        if (trainer is null || normalizerSpec is null)
        {
            var missing = trainer is null ? "trainer_spec" : "normalizer_spec";
            throw new ModelFormatException(file, $"is no sound sentencepiece model: it has no {missing}; is the file cut off or something else?");
        }

        return Assemble(file, pieces, trainer, normalizerSpec, config, limits);
    }

    private static TokenizerParts Assemble(
        string file, List<Piece> pieces, TrainerSpec trainer, NormalizerSpec normalizerSpec, TokenizerConfig config, LoadLimits limits)
    {
        var space = normalizerSpec.EscapesSpaces ? Metaspace.Mark : ' ';
        var tokens = new Vocabulary.Builder(file, limits);
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        for (var id = 0; id < pieces.Count; id++)
        {
            var piece = pieces[id];
            tokens.Add(piece.Text, id, piece.Decode(space));
            if (piece.Type is PieceType.Control or PieceType.Unknown)
            {
                added.Add(piece.Text, new(id, piece.Text, Special: true));
            }
            else if (piece.Type == PieceType.UserDefined)
            {
                // Sentencepiece finds these after normalization and never merges them: what an added token is.
                added.Add(piece.Text, new(id, piece.Text, Special: false, Normalized: true));
            }
        }

        // transformers' class for these files looks for its added tokens in the text as it stands, whatever their "normalized" says.
        foreach (var token in config.AddedTokens.Where(t => t.Content.Length > 0))
        {
            var isControl = added.TryGetValue(token.Content, out var piece) && piece.Special;
            added[token.Content] = tokens.AddOrFind(token with { Normalized = false, Special = token.Special || isControl });
        }

        foreach (var name in config.SpecialTokens.Where(name => name.Length > 0 && tokens.Ids.ContainsKey(name)))
        {
            added.TryAdd(name, new(tokens.Ids[name], name, Special: true));
        }

        AddedToken[] all = [.. added.Values.Select(config.WithRole)];
        foreach (var token in all.Where(t => t.Special))
        {
            tokens.MarkSpecial(token.Id);
        }

        normalizerSpec = normalizerSpec with { AddsDummyPrefix = normalizerSpec.AddsDummyPrefix && (config.AddPrefixSpace ?? true) };
        var bos = Named(config.BosToken, tokens) ?? RoleOf(file, trainer.BosId, "bos_id", pieces.Count);
        var eos = Named(config.EosToken, tokens) ?? RoleOf(file, trainer.EosId, "eos_id", pieces.Count);
        return new()
        {
            Kind = trainer.IsUnigram ? "sentencepiece Unigram" : "sentencepiece BPE",
            FileName = Path.GetFileName(file),
            Model = SentencePiecePieces.Build(file, pieces, trainer),
            Vocabulary = tokens.Build(),
            AddedTokens = all,
            Normalizer = new(normalizerSpec.Steps(space, prefixAtStartOnly: !config.IsLegacy), limits),
            NormalizeAdded = text => text,
            PreTokenizer = new(!trainer.IsUnigram && SentencePiecePieces.MayCutAtWordStarts(pieces, space) ? [new(null, new WordStartSplitter())] : []),
            Prefix = bos is { } first && (config.AddBos ?? true) ? [first] : [],
            Suffix = eos is { } last && (config.AddEos ?? false) ? [last] : [],
            StripsLeadingSpace = normalizerSpec.AddsDummyPrefix || normalizerSpec.CollapsesSpaces,
            BosId = bos,
            EosIds = eos is { } end ? [end] : [],
        };
    }

    private static int? Named(string? token, Vocabulary.Builder tokens) => token is not null && tokens.Ids.TryGetValue(token, out var id) ? id : null;

    // A negative id means that the model has no such token.
    private static int? RoleOf(string file, long id, string name, int count) =>
        id < 0 ? null : id < count ? (int)id : throw new ModelFormatException(file, $"trainer_spec.{name} is {id}: expected less than {count}, the number of pieces");
}
