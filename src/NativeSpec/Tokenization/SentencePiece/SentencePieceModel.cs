using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>Reads a sentencepiece <c>tokenizer.model</c> of type BPE (the messages of sentencepiece_model.proto).</summary>
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
                    _ = NormalizerSpec.Read(file, "denormalizer_spec", reader.ReadBytes());
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
        var added = new List<AddedToken>();
        for (var id = 0; id < pieces.Count; id++)
        {
            var piece = pieces[id];
            tokens.Add(piece.Text, id, piece.Decode(space));
            if (piece.Type is PieceType.Control or PieceType.Unknown)
            {
                tokens.MarkSpecial(id);
                added.Add(new(id, piece.Text, Special: true));
            }
            else if (piece.Type == PieceType.UserDefined)
            {
                // Sentencepiece finds these after normalization and never merges them: what an added token is.
                added.Add(new(id, piece.Text, Special: false, Normalized: true));
            }
        }

        foreach (var token in config.AddedTokens.Where(t => !tokens.Ids.ContainsKey(t.Content)).Select(config.WithRole))
        {
            tokens.AddOrFind(token);
            added.Add(token);
        }

        var bos = RoleOf(file, trainer.BosId, "bos_id", pieces.Count);
        var eos = RoleOf(file, trainer.EosId, "eos_id", pieces.Count);
        var stripsSpace = normalizerSpec.AddsDummyPrefix || normalizerSpec.CollapsesSpaces;
        return new()
        {
            Kind = "sentencepiece BPE",
            FileName = Path.GetFileName(file),
            Model = SentencePieceMerges.Build(file, pieces, trainer.FallsBackToBytes),
            Vocabulary = tokens.Build(),
            ModelVocabSize = pieces.Count,
            AddedTokens = added,
            Normalizer = new(normalizerSpec.Steps(space), limits),
            NormalizeAdded = text => text,
            PreTokenizer = new(null, SentencePieceMerges.MayCutAtWordStarts(pieces, space) ? [new WordStartSplitter()] : []),
            Prefix = bos is { } first && (config.AddBos ?? true) ? [first] : [],
            Suffix = eos is { } last && (config.AddEos ?? false) ? [last] : [],
            StripsLeadingSpace = stripsSpace,
            BosId = bos,
            EosIds = config.EosToken is not null ? ControlNames.FindEos(config.EosToken, tokens) : eos is { } id0 ? [id0] : [],
        };
    }

    // A negative id means that the model has no such token.
    private static int? RoleOf(string file, long id, string name, int count) =>
        id < 0 ? null : id < count ? (int)id : throw new ModelFormatException(file, $"trainer_spec.{name} is {id}: expected less than {count}, the number of pieces");

    /// <summary>The part of TrainerSpec that encoding needs, with the defaults of the format.</summary>
    private sealed record TrainerSpec(bool FallsBackToBytes, long BosId, long EosId)
    {
        public static TrainerSpec Read(string file, ReadOnlySpan<byte> message)
        {
            const long Bpe = 2;
            var type = 1L;
            var spec = new TrainerSpec(false, 1, 2);
            var reader = new ProtobufReader(file, message, "trainer_spec");
            while (reader.Next())
            {
                switch (reader.Field)
                {
                    case 3:
                        type = reader.ReadInteger();
                        break;
                    case 24 when reader.ReadFlag():
                        throw new ModelFormatException(file, "trainer_spec.treat_whitespace_as_suffix is not supported: expected false");
                    case 35:
                        spec = spec with { FallsBackToBytes = reader.ReadFlag() };
                        break;
                    case 41:
                        spec = spec with { BosId = (int)reader.ReadInteger() };
                        break;
                    case 42:
                        spec = spec with { EosId = (int)reader.ReadInteger() };
                        break;
                    case 24:
                        break; // read by the condition above, and false
                    default:
                        reader.Skip();
                        break;
                }
            }

            var name = type switch { 1 => "UNIGRAM", 3 => "WORD", 4 => "CHAR", _ => type.ToString(null, null) };
            return type == Bpe ? spec : throw new ModelFormatException(file, $"trainer_spec.model_type {name} is not supported: expected BPE");
        }
    }

    /// <summary>The part of NormalizerSpec that encoding needs, with the defaults of the format.</summary>
    private sealed record NormalizerSpec(bool AddsDummyPrefix, bool CollapsesSpaces, bool EscapesSpaces)
    {
        public static NormalizerSpec Read(string file, string name, ReadOnlySpan<byte> message)
        {
            var rule = "";
            var mapLength = 0;
            var spec = new NormalizerSpec(true, true, true);
            var reader = new ProtobufReader(file, message, name);
            while (reader.Next())
            {
                switch (reader.Field)
                {
                    case 1:
                        rule = Encoding.UTF8.GetString(reader.ReadBytes());
                        break;
                    case 2:
                        mapLength = reader.ReadBytes().Length;
                        break;
                    case 3:
                        spec = spec with { AddsDummyPrefix = reader.ReadFlag() };
                        break;
                    case 4:
                        spec = spec with { CollapsesSpaces = reader.ReadFlag() };
                        break;
                    case 5:
                        spec = spec with { EscapesSpaces = reader.ReadFlag() };
                        break;
                    default:
                        reader.Skip();
                        break;
                }
            }

            // The character map is what normalizes; a name without a map changes nothing.
            return mapLength == 0 ? spec : throw new ModelFormatException(
                file, $"{name}: the rule '{rule}' with a character map of {mapLength} bytes is not supported: expected identity");
        }

        public IEnumerable<Func<string, string>> Steps(char space)
        {
            if (CollapsesSpaces)
            {
                yield return Normalizer.CollapseSpaces;
            }

            if (AddsDummyPrefix)
            {
                yield return Normalizer.Prepend(" ");
            }

            if (EscapesSpaces)
            {
                yield return Normalizer.Replace(" ", space.ToString());
            }
        }
    }
}
