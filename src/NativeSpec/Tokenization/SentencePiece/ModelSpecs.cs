using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Normalization;

namespace NativeSpec.Tokenization.SentencePiece;

/// <summary>The part of TrainerSpec that encoding needs, with the defaults of the format.</summary>
internal sealed record TrainerSpec(bool IsUnigram, bool FallsBackToBytes, long BosId, long EosId)
{
    /// <summary>Reads the message.</summary>
    public static TrainerSpec Read(string file, ReadOnlySpan<byte> message)
    {
        const long Unigram = 1, Bpe = 2;
        var type = Unigram;
        var spec = new TrainerSpec(true, false, 1, 2);
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

        var name = type switch { 3 => "WORD", 4 => "CHAR", _ => type.ToString(null, null) };
        return type is Bpe or Unigram
            ? spec with { IsUnigram = type == Unigram }
            : throw new ModelFormatException(file, $"trainer_spec.model_type {name} is not supported: expected BPE or UNIGRAM");
    }
}

/// <summary>The part of NormalizerSpec that encoding needs, with the defaults of the format.</summary>
internal sealed record NormalizerSpec(CharacterMap? Map, bool AddsDummyPrefix, bool CollapsesSpaces, bool EscapesSpaces)
{
    /// <summary>Reads the message.</summary>
    public static NormalizerSpec Read(string file, string name, ReadOnlySpan<byte> message)
    {
        var rule = "";
        ReadOnlySpan<byte> map = [];
        var spec = new NormalizerSpec(null, true, true, true);
        var reader = new ProtobufReader(file, message, name);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1:
                    rule = Encoding.UTF8.GetString(reader.ReadBytes());
                    break;
                case 2:
                    map = reader.ReadBytes();
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
        return map.IsEmpty ? spec : spec with
        {
            Map = CharacterMap.TryRead(map)
                ?? throw new ModelFormatException(file, $"{name}: the character map of the rule '{rule}' ({map.Length} bytes) is not sound; is the file cut off?"),
        };
    }

    /// <summary>The steps that the message stands for.</summary>
    /// <param name="space">What a space is written as.</param>
    /// <param name="prefixAtStartOnly">Whether a space is put only before the whole text, not after each control token too.</param>
    public IEnumerable<NormalizerStep> Steps(char space, bool prefixAtStartOnly)
    {
        if (Map is not null)
        {
            yield return new(Map.ReplaceLongest);
        }

        if (CollapsesSpaces)
        {
            yield return new(Normalizer.CollapseSpaces);
        }

        if (AddsDummyPrefix)
        {
            yield return new(Normalizer.Prepend(" "), prefixAtStartOnly);
        }

        if (EscapesSpaces)
        {
            yield return new(text => text.Replace(' ', space));
        }
    }
}
