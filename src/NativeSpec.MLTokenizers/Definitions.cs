using System.Text;
using Microsoft.ML.Tokenizers;
using NativeSpec.Loading;
using NativeSpec.Tokenization;
using NativeSpec.Tokenization.Bpe;
using MLTokenizer = Microsoft.ML.Tokenizers.Tokenizer;

namespace NativeSpec.MLTokenizers;

/// <summary>What the tokenizers of Microsoft.ML.Tokenizers are, in the words of <see cref="TokenizerDefinition"/>. Only what they show to everybody is used.</summary>
internal static class Definitions
{
    private const char SpaceMark = '\u2581';

    /// <summary>Byte-level BPE by ranks.</summary>
    public static TokenizerDefinition Of(TiktokenTokenizer tokenizer, MLTokenizerOptions options, LoadLimits limits)
    {
        List<ReadOnlyMemory<byte>> tokens = [.. TiktokenBytes.Of(tokenizer, limits.MaxVocabSize)];
        var special = Joined(tokenizer.SpecialTokens, options);
        return Make("tiktoken", tokenizer, options, limits, tokens, special, null, null, addsBos: false, new TiktokenEncoder(tokenizer, tokens).Encode, Sought(tokenizer.SpecialTokens, special, tokens));
    }

    /// <summary>Sentencepiece, BPE or Unigram.</summary>
    public static TokenizerDefinition Of(SentencePieceTokenizer tokenizer, MLTokenizerOptions options, LoadLimits limits)
    {
        Dictionary<string, int> roles = [];
        foreach (var (text, id) in new[]
        {
            (tokenizer.BeginningOfSentenceToken, tokenizer.BeginningOfSentenceId), (tokenizer.EndOfSentenceToken, tokenizer.EndOfSentenceId), (tokenizer.UnknownToken, tokenizer.UnknownId),
        })
        {
            if (id >= 0 && text.Length > 0)
            {
                roles[text] = id;
            }
        }

        var special = Joined(Joined(tokenizer.SpecialTokens, options), roles);
        var tokens = Tokens(tokenizer.Vocabulary, piece => PieceBytes(piece, tokenizer), limits);
        var definition = Make("sentencepiece", tokenizer, options, limits, tokens, special, roles.GetValueOrDefault(tokenizer.BeginningOfSentenceToken, -1), [tokenizer.EndOfSentenceId],
            tokenizer.AddBeginningOfSentence, text => tokenizer.EncodeToIds(text, addBeginningOfSentence: false, addEndOfSentence: false, considerNormalization: false),
            [.. tokenizer.SpecialTokens?.Keys ?? []]);
        return definition with
        {
            UnknownId = tokenizer.UnknownId >= 0 ? tokenizer.UnknownId : null,
            Suffix = tokenizer.AddEndOfSentence ? [tokenizer.EndOfSentenceId] : [],
            StripsLeadingSpace = tokenizer.AddDummyPrefix && !tokenizer.TreatWhitespaceAsSuffix,
            Normalize = text => Normalize(tokenizer, text),
        };
    }

    // Where a text begins with a control token, its normalizer puts the space that goes in front behind that. Here it is text: a letter keeps the space in front.
    private static string Normalize(SentencePieceTokenizer tokenizer, string text)
    {
        if (tokenizer.Normalizer is not { } normalizer)
        {
            return text;
        }

        if (tokenizer.SpecialTokens is not { } special || !special.Keys.Any(control => text.StartsWith(control, StringComparison.Ordinal)))
        {
            return normalizer.Normalize(text);
        }

        var normalized = normalizer.Normalize('x' + text);
        return normalized.Remove(normalized.IndexOf('x'), 1);
    }

    /// <summary>GPT-2's kind of byte-level BPE.</summary>
    public static TokenizerDefinition Of(CodeGenTokenizer tokenizer, MLTokenizerOptions options, LoadLimits limits)
    {
        var special = Joined(tokenizer.SpecialTokens, options);
        var tokens = Tokens(tokenizer.Vocabulary, ByteAlphabet.Decode, limits);
        var definition = Make("GPT-2 byte-level BPE", tokenizer, options, limits, tokens, special, tokenizer.BeginningOfSentenceId,
            tokenizer.EndOfSentenceId is { } eos ? [eos] : null, tokenizer.AddBeginningOfSentence,
            text => tokenizer.EncodeToIds(text, addPrefixSpace: false, addBeginningOfSentence: false, addEndOfSentence: false, considerNormalization: false),
            Sought(tokenizer.SpecialTokens, special, tokens));
        var normalize = definition.Normalize;
        return definition with
        {
            UnknownId = tokenizer.UnknownTokenId,
            Suffix = tokenizer is { AddEndOfSentence: true, EndOfSentenceId: { } last } ? [last] : [],
            StripsLeadingSpace = tokenizer.AddPrefixSpace,
            Normalize = tokenizer.AddPrefixSpace ? text => ' ' + (normalize?.Invoke(text) ?? text) : normalize,
        };
    }

    /// <summary>BPE from a vocabulary and merges.</summary>
    public static TokenizerDefinition Of(BpeTokenizer tokenizer, MLTokenizerOptions options, LoadLimits limits)
    {
        if (!tokenizer.ByteLevel)
        {
            throw new ArgumentException(
                $"a {nameof(BpeTokenizer)} without {nameof(BpeTokenizer.ByteLevel)} does not spell every text in its tokens: set {nameof(BpeOptions)}.{nameof(BpeOptions.ByteLevel)} where the vocabulary is by bytes",
                nameof(tokenizer));
        }

        // It always adds its tokens around a text, and they are taken off again.
        var vocabulary = tokenizer.Vocabulary;
        var bos = tokenizer.BeginningOfSentenceToken is { } begin ? IdOf(begin) : -1;
        // It does not say whether it ends texts, but shows it.
        var (end, eos) = tokenizer.EncodeToTokens("a", out _, considerNormalization: false) is [.., var last] && last.Offset.Start.Value == last.Offset.End.Value ? (last.Value, last.Id) : (null, -1);
        var special = Joined(tokenizer.SpecialTokens, options);
        foreach (var text in new[] { tokenizer.BeginningOfSentenceToken, eos >= 0 ? end : null, tokenizer.UnknownToken }.OfType<string>())
        {
            special.TryAdd(text, IdOf(text));
        }

        var tokens = Tokens(vocabulary, ByteAlphabet.Decode, limits);
        var definition = Make("byte-level BPE", tokenizer, options, limits, tokens, special, bos, eos >= 0 ? [eos] : null, bos >= 0, text =>
        {
            var ids = tokenizer.EncodeToIds(text, considerNormalization: false);
            return bos < 0 && eos < 0 ? ids : [.. ids.Skip(bos < 0 ? 0 : 1).SkipLast(eos < 0 ? 0 : 1)];
        }, Sought(tokenizer.SpecialTokens, special, tokens));
        return definition with
        {
            UnknownId = tokenizer.UnknownToken is { } unknown ? IdOf(unknown) : null,
            Suffix = eos >= 0 ? [eos] : [],
        };

        int IdOf(string text) => vocabulary.TryGetValue(text, out var id) || (tokenizer.SpecialTokens?.TryGetValue(text, out id) ?? false)
            ? id
            : throw new ArgumentException($"the tokenizer names the token '{text}', which is not in its vocabulary", nameof(tokenizer));
    }

    private static TokenizerDefinition Make(
        string name, MLTokenizer tokenizer, MLTokenizerOptions options, LoadLimits limits, List<ReadOnlyMemory<byte>> tokens, Dictionary<string, int> special, int? bos, int[]? eos, bool addsBos,
        Func<string, IReadOnlyList<int>> encode, string[] sought)
    {
        foreach (var (text, id) in special)
        {
            RequireId(text, id, limits);
            while (tokens.Count <= id)
            {
                tokens.Add(default);
            }
        }

        int? first = options.BosToken is { } named ? Special(named, nameof(MLTokenizerOptions.BosToken)) : bos >= 0 ? bos : null;
        return new()
        {
            Name = $"{name} ({tokenizer.GetType().Name})",
            Tokens = tokens,
            SpecialTokens = special,
            Encode = new ControlTextCutter(sought, encode).Encode,
            Normalize = tokenizer.Normalizer is { } normalizer ? normalizer.Normalize : null,
            BosId = first,
            EosIds = options.EosTokens is { } ends ? [.. ends.Select(text => Special(text, nameof(MLTokenizerOptions.EosTokens)))] : eos?.Where(id => id >= 0).ToArray(),
            Prefix = first is { } begin && (options.AddBos ?? addsBos) ? [begin] : [],
        };

        int Special(string text, string option) => special.TryGetValue(text, out var id)
            ? id
            : throw new ArgumentException($"{nameof(MLTokenizerOptions)}.{option} is '{text}', which is no control token of the tokenizer: name it in {nameof(MLTokenizerOptions.SpecialTokens)}", nameof(options));
    }

    private static Dictionary<string, int> Joined(IReadOnlyDictionary<string, int>? special, MLTokenizerOptions options) => Joined(special, options.SpecialTokens);

    private static Dictionary<string, int> Joined(IReadOnlyDictionary<string, int>? first, IReadOnlyDictionary<string, int> second)
    {
        Dictionary<string, int> all = new(second, StringComparer.Ordinal);
        foreach (var (text, id) in first ?? new Dictionary<string, int>())
        {
            all[text] = id;
        }

        return all;
    }

    // The control tokens that a tokenizer looks for in text: its own. One that only the options name is text to it, unless it is an ordinary token of the vocabulary too.
    private static string[] Sought(IReadOnlyDictionary<string, int>? own, Dictionary<string, int> special, List<ReadOnlyMemory<byte>> tokens)
        => [.. special.Where(pair => own?.ContainsKey(pair.Key) == true || ((uint)pair.Value < (uint)tokens.Count && !tokens[pair.Value].IsEmpty)).Select(pair => pair.Key)];

    private static void RequireId(string text, int id, LoadLimits limits)
    {
        if (id < 0 || id >= limits.MaxVocabSize)
        {
            throw new ArgumentException($"the token '{text}' has id {id}: expected 0 to {limits.MaxVocabSize - 1} ({nameof(LoadLimits)}.{nameof(LoadLimits.MaxVocabSize)})");
        }
    }

    private static List<ReadOnlyMemory<byte>> Tokens(IReadOnlyDictionary<string, int> vocabulary, Func<string, byte[]> bytes, LoadLimits limits)
    {
        foreach (var (text, id) in vocabulary)
        {
            RequireId(text, id, limits);
        }

        var tokens = new ReadOnlyMemory<byte>[vocabulary.Values.DefaultIfEmpty(-1).Max() + 1];
        foreach (var (text, id) in vocabulary)
        {
            tokens[id] = bytes(text);
        }

        return [.. tokens];
    }

    private static byte[] PieceBytes(string piece, SentencePieceTokenizer tokenizer)
        => tokenizer.ByteFallback && ByteAlphabet.ParseByteToken(piece) is >= 0 and var value ? [(byte)value]
            : Encoding.UTF8.GetBytes(tokenizer.EscapeWhiteSpaces ? piece.Replace(SpaceMark, ' ') : piece);
}
