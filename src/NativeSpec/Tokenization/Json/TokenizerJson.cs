using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Normalization;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads a <c>tokenizer.json</c> of Hugging Face's tokenizers with a BPE or a Unigram model. Its <c>truncation</c> and
/// <c>padding</c> are left aside: an engine neither cuts nor fills a prompt.</summary>
internal static class TokenizerJson
{
    /// <summary>Reads the file.</summary>
    public static TokenizerParts Read(JsonPart root, TokenizerConfig config, LoadLimits limits)
    {
        var file = root.File;
        var normalizer = new Normalizer(JsonNormalizer.Read(root.Optional("normalizer")), limits);
        var pre = JsonPreTokenizer.Read(root.Optional("pre_tokenizer"), config.AddPrefixSpace);
        var decoder = JsonDecoder.Read(root.Optional("decoder"), pre.IsByteLevel || pre.WritesLetters);

        var tokens = new Vocabulary.Builder(file, limits);
        IJsonModel model = IsUnigram(root.Required("model"))
            ? new JsonUnigram(root.Required("model"), tokens, decoder, limits)
            : new JsonBpe(root.Required("model"), tokens, decoder, limits);
        var added = ReadAddedTokens(root.Optional("added_tokens"), tokens, config, limits);
        model.MarkUnknown(tokens);
        var around = Around(JsonPostProcessor.Read(root.Optional("post_processor"), limits), config, tokens);
        foreach (var id in around.Prefix.Concat(around.Suffix))
        {
            if (id >= tokens.Count)
            {
                throw new ModelFormatException(file, $"post_processor: token id {id} is not in the vocabulary of {tokens.Count}");
            }

            tokens.MarkSpecial(id);
        }

        var pieces = model.Build(tokens, pre.IsByteLevel);
        return new()
        {
            Kind = pre.IsByteLevel || pre.WritesLetters ? "byte-level BPE" : model.Kind,
            FileName = Path.GetFileName(file),
            Vocabulary = tokens.Build(),
            AddedTokens = added,
            Normalizer = normalizer,
            NormalizeAdded = text => normalizer.Apply(text, isStart: false),
            PreTokenizer = model.MayCutAtWordStarts && !pre.Cuts
                ? new([.. pre.Steps, new(null, new WordStartSplitter())])
                : new(pre.Steps),
            Model = pieces,
            Prefix = around.Prefix,
            Suffix = around.Suffix,
            StripsLeadingSpace = decoder.StripsLeadingSpace,
            BosId = FindBos(around, config, tokens),
            EosIds = EndOfText.Find(config.EosToken, tokens),
        };
    }

    // Files from before models had a type: a Unigram model's vocabulary is an array, with scores.
    private static bool IsUnigram(JsonPart model) => model.Optional("type") is { } type
        ? type.Text() == "Unigram"
        : model.Required("vocab").Value.ValueKind == JsonValueKind.Array;

    private static List<AddedToken> ReadAddedTokens(JsonPart? part, Vocabulary.Builder tokens, TokenizerConfig config, LoadLimits limits)
    {
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        var (modelSize, last) = (tokens.Ids.Count, -1);
        foreach (var item in part?.Items() ?? [])
        {
            // Hugging Face's library numbers the tokens that the model has not itself, one after the other; ids that say otherwise are left
            // by other tools, and the rows of a model's embedding are by the library's.
            var token = TokenizerConfig.ReadToken(item, item.Required("id").Int(0, limits.MaxVocabSize - 1));
            Add(token with { Id = tokens.IsFree(Math.Max(last + 1, modelSize)) ? Math.Max(last + 1, modelSize) : token.Id });
        }

        // Tokens of the configuration that this file has not, and tokens of the vocabulary that have a role in it.
        foreach (var token in config.AddedTokens.Where(t => !added.ContainsKey(t.Content) && (tokens.Ids.ContainsKey(t.Content) || tokens.IsFree(t.Id))))
        {
            Add(token);
        }

        foreach (var name in config.SpecialTokens.Where(name => !added.ContainsKey(name) && tokens.Ids.ContainsKey(name)))
        {
            Add(new(tokens.Ids[name], name, Special: true));
        }

        return [.. added.Values];

        void Add(AddedToken token)
        {
            if (token.Content.Length > 0 && !added.ContainsKey(token.Content))
            {
                token = tokens.AddOrFind(token);
                token = config.WithRole(token);
                tokens.AddOrFind(token);
                added.Add(token.Content, token);
                last = Math.Max(last, token.Id);
            }
        }
    }

    private static JsonPostProcessor Around(JsonPostProcessor own, TokenizerConfig config, Vocabulary.Builder tokens) => config.Class is { } type
        ? new(
            Chosen(config.AddBos ?? true, config.BosToken ?? type.Bos, tokens),
            Chosen(config.AddEos ?? false, config.EosToken ?? type.Eos, tokens))
        : own;

    private static int[] Chosen(bool wanted, string token, Vocabulary.Builder tokens) =>
        wanted && tokens.Ids.TryGetValue(token, out var id) ? [id] : [];

    private static int? FindBos(JsonPostProcessor around, TokenizerConfig config, Vocabulary.Builder tokens)
    {
        if (config.BosToken is { } name)
        {
            return tokens.Ids.TryGetValue(name, out var named) ? named : null;
        }

        return around.Prefix is [var first, ..] ? first : tokens.Ids.TryGetValue("<s>", out var id) && tokens.IsSpecial(id) ? id : null;
    }
}

/// <summary>The <c>model</c> of a tokenizer.json: its vocabulary is read at once, the rest when the control tokens are known.</summary>
internal interface IJsonModel
{
    /// <summary>The kind, for people.</summary>
    string Kind { get; }

    /// <summary>Whether the text may be cut before each <c>▁</c> without a change; known after <see cref="Build"/>.</summary>
    bool MayCutAtWordStarts { get; }

    /// <summary>Marks the unknown token as a control token.</summary>
    void MarkUnknown(Vocabulary.Builder tokens);

    /// <summary>Reads the rest and makes the model.</summary>
    TokenModel Build(Vocabulary.Builder tokens, bool isByteLevel);
}
