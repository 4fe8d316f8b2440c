using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Tokenization;

/// <summary>Checks a <see cref="TokenizerDefinition"/> and brings it into the form of all tokenizers.</summary>
internal static class DefinedTokenizer
{
    /// <summary>The parts of the tokenizer.</summary>
    /// <exception cref="ArgumentException">The definition contradicts itself.</exception>
    public static TokenizerParts Parts(TokenizerDefinition definition, LoadLimits limits)
    {
        ArgumentNullException.ThrowIfNull(definition.Encode, nameof(definition));
        var count = definition.Tokens.Count;
        Require(count is > 0 && count <= limits.MaxVocabSize, definition, $"has {count} tokens: expected 1 to {limits.MaxVocabSize} (LoadLimits.MaxVocabSize)");
        var bytes = definition.Tokens.Select(token => token.ToArray()).ToArray();
        foreach (var (text, id) in definition.SpecialTokens)
        {
            Require(text.Length > 0, definition, $"has a control token without text (id {id})");
            RequireId(id, $"control token '{text}'");
            bytes[id] = Encoding.UTF8.GetBytes(text);
        }

        var special = definition.SpecialTokens.Values.ToHashSet();
        var eos = definition.EosIds ?? EndOfText.Find(definition.SpecialTokens);
        RequireIds(definition.Prefix, nameof(definition.Prefix));
        RequireIds(definition.Suffix, nameof(definition.Suffix));
        RequireIds(eos, nameof(definition.EosIds));
        RequireIds(definition.BosId is { } bos ? [bos] : [], nameof(definition.BosId));
        RequireIds(definition.UnknownId is { } unknown ? [unknown] : [], nameof(definition.UnknownId));
        return new()
        {
            Kind = definition.Name,
            FileName = "from the caller",
            Vocabulary = Vocabulary.Create(bytes, special.Contains),
            AddedTokens = [.. definition.SpecialTokens.Select(pair => new Splitting.AddedToken(pair.Value, pair.Key, Special: true, Control: true))],
            Normalizer = new(definition.Normalize is { } normalize ? [new(normalize)] : [], limits),
            NormalizeAdded = text => text,
            PreTokenizer = new([]),
            Model = new DefinedModel(definition, special),
            Prefix = [.. definition.Prefix],
            Suffix = [.. definition.Suffix],
            StripsLeadingSpace = definition.StripsLeadingSpace,
            BosId = definition.BosId,
            EosIds = [.. eos],
        };

        void RequireIds(IEnumerable<int> ids, string what)
        {
            foreach (var id in ids)
            {
                RequireId(id, what);
            }
        }

        void RequireId(int id, string what) => Require((uint)id < (uint)count, definition, $"{what} has id {id}: expected 0 to {count - 1}");
    }

    private static void Require(bool holds, TokenizerDefinition definition, string problem)
    {
        if (!holds)
        {
            throw new ArgumentException($"tokenizer '{definition.Name}' {problem}", nameof(definition));
        }
    }

    // What the function gives is checked: an id that is no token, or a control token where text stood.
    private sealed class DefinedModel(TokenizerDefinition definition, HashSet<int> special) : TokenModel
    {
        public override PieceEncoder CreateEncoder() => new Encoder(this);

        private void Encode(string piece, List<int> ids)
        {
            foreach (var id in definition.Encode(piece))
            {
                if ((uint)id >= (uint)definition.Tokens.Count)
                {
                    throw new InvalidOperationException($"tokenizer '{definition.Name}' encoded a text with id {id}: expected 0 to {definition.Tokens.Count - 1}");
                }

                if (special.Contains(id) && id != definition.UnknownId)
                {
                    throw new InvalidOperationException(
                        $"tokenizer '{definition.Name}' encoded ordinary text with the control token {id}: TokenizerDefinition.Encode must leave control tokens alone");
                }

                ids.Add(id);
            }
        }

        private sealed class Encoder(DefinedModel model) : PieceEncoder
        {
            public override void Encode(ReadOnlySpan<char> piece, List<int> ids)
            {
                if (!piece.IsEmpty)
                {
                    model.Encode(piece.ToString(), ids);
                }
            }
        }
    }
}
