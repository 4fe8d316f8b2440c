using NativeSpec.Loading;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads a <c>tokenizer.json</c> of Hugging Face's tokenizers with a BPE model. Its <c>truncation</c> and <c>padding</c> are
/// left aside: an engine neither cuts nor fills a prompt.</summary>
internal static class TokenizerJson
{
    /// <summary>Reads the file.</summary>
    public static TokenizerParts Read(string file, byte[] bytes, TokenizerConfig config, LoadLimits limits)
    {
        var root = JsonPart.Parse(file, bytes);
        var normalizer = new Normalizer(JsonNormalizer.Read(root.Optional("normalizer")), limits);
        var pre = JsonPreTokenizer.Read(root.Optional("pre_tokenizer"));
        var decoder = JsonDecoder.Read(root.Optional("decoder"), pre.IsByteLevel);

        var tokens = new Vocabulary.Builder(file, limits);
        var model = new JsonBpe(root.Required("model"), tokens, decoder, limits);
        var modelVocabSize = tokens.Count;
        var added = ReadAddedTokens(root.Optional("added_tokens"), tokens, config, limits);
        model.MarkUnknown(tokens);
        var around = JsonPostProcessor.Read(root.Optional("post_processor"), limits);
        if (config is { IsLlamaClass: true } && (config.AddBos ?? config.AddEos) is not null)
        {
            around = FromConfig(around, config, tokens);
        }

        foreach (var id in around.Prefix.Concat(around.Suffix))
        {
            if (id >= tokens.Count)
            {
                throw new ModelFormatException(file, $"post_processor: token id {id} is not in the vocabulary of {tokens.Count}");
            }

            tokens.MarkSpecial(id);
        }

        var bpe = model.Build(tokens, pre.IsByteLevel);
        return new()
        {
            Kind = pre.IsByteLevel ? "byte-level BPE" : model.FallsBackToBytes ? "BPE with byte fallback" : "BPE",
            FileName = Path.GetFileName(file),
            Vocabulary = tokens.Build(),
            ModelVocabSize = modelVocabSize,
            AddedTokens = added,
            Normalizer = normalizer,
            NormalizeAdded = normalizer.Apply,
            PreTokenizer = model.MayCutAtWordStarts && pre.Splitters.Length == 0
                ? new(pre.Transform, [new WordStartSplitter()])
                : new(pre.Transform, pre.Splitters),
            Model = bpe,
            Prefix = around.Prefix,
            Suffix = around.Suffix,
            StripsLeadingSpace = decoder.StripsLeadingSpace,
            BosId = FindBos(around, config, tokens),
            EosIds = ControlNames.FindEos(config.EosToken, tokens),
        };
    }

    private static List<AddedToken> ReadAddedTokens(JsonPart? part, Vocabulary.Builder tokens, TokenizerConfig config, LoadLimits limits)
    {
        var added = new List<AddedToken>();
        foreach (var item in part?.Items() ?? [])
        {
            var token = config.WithRole(TokenizerConfig.ReadToken(item, item.Required("id").Int(0, limits.MaxVocabSize - 1)));
            tokens.AddOrFind(token);
            added.Add(token);
        }

        return added;
    }

    private static JsonPostProcessor FromConfig(JsonPostProcessor around, TokenizerConfig config, Vocabulary.Builder tokens) => new(
        config.AddBos is { } bos ? Chosen(bos, config.BosToken ?? "<s>", tokens) : around.Prefix,
        config.AddEos is { } eos ? Chosen(eos, config.EosToken ?? "</s>", tokens) : around.Suffix);

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
