using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.Patterns;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Tiktoken;

/// <summary>Reads a <c>tekken.json</c>, the format of Mistral's newer tokenizers: ranks as tiktoken has them, behind a number of special
/// tokens, and the split pattern.</summary>
internal static class Tekken
{
    private static readonly string[] FirstSpecial =
    [
        "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]",
        "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
    ];

    /// <summary>Whether a JSON file is one.</summary>
    public static bool LooksLike(JsonPart root) =>
        root.Value.TryGetProperty("config", out var config) && config.ValueKind == System.Text.Json.JsonValueKind.Object && config.TryGetProperty("pattern", out _);

    /// <summary>Reads the file.</summary>
    public static TokenizerParts Read(JsonPart root, TokenizerConfig config, LoadLimits limits)
    {
        var file = root.File;
        var settings = root.Required("config");
        var specialCount = settings.Required("default_num_special_tokens").Int(1, limits.MaxVocabSize);
        var size = settings.Required("default_vocab_size").Int(specialCount + 256, limits.MaxVocabSize);
        var tokens = new Vocabulary.Builder(file, limits);
        var added = ReadSpecial(root.Optional("special_tokens"), specialCount, limits);
        foreach (var token in added)
        {
            tokens.AddOrFind(token);
        }

        var ranks = ReadRanks(root.Required("vocab"), size - specialCount);
        foreach (var (token, rank) in ranks)
        {
            tokens.Add(string.Concat(token.Select(ByteAlphabet.Letter)), specialCount + rank, token);
        }

        var bos = tokens.Ids.TryGetValue(config.BosToken ?? "<s>", out var first) ? first : (int?)null;
        return new()
        {
            Kind = "tekken byte-level BPE",
            FileName = Path.GetFileName(file),
            Vocabulary = tokens.Build(),
            AddedTokens = [.. added.Select(config.WithRole)],
            Normalizer = new([], limits),
            NormalizeAdded = text => text,
            PreTokenizer = new([new(null, ReadPattern(settings.Required("pattern")))]),
            Model = TiktokenRanks.MakeModel(file, ranks, specialCount),
            Prefix = bos is { } id && (config.AddBos ?? true) ? [id] : [],
            BosId = bos,
            EosIds = EndOfText.Find(config.EosToken ?? "</s>", tokens),
        };
    }

    private static Splitter ReadPattern(JsonPart part)
    {
        try
        {
            return SplitPatterns.Make(part.Text(), PatternDialect.Perl);
        }
        catch (PatternException error)
        {
            throw new ModelFormatException(part.File, $"{part.Path}: '{JsonPart.Shorten(part.Text())}' is not supported: {error.Message}", error);
        }
    }

    private static AddedToken[] ReadSpecial(JsonPart? part, int count, LoadLimits limits)
    {
        var names = Enumerable.Range(0, count).Select(i => i < FirstSpecial.Length ? FirstSpecial[i] : $"<SPECIAL_{i}>").ToArray();
        foreach (var item in part?.Items() ?? [])
        {
            names[item.Required("rank").Int(0, Math.Min(count, limits.MaxVocabSize) - 1)] = item.Required("token_str").Text();
        }

        return [.. names.Select((name, id) => new AddedToken(id, name, Special: true))];
    }

    // The file may have more tokens than are in use: those of the highest ranks are left out.
    private static Dictionary<byte[], int> ReadRanks(JsonPart vocab, int count)
    {
        var ranks = new Dictionary<byte[], int>(TokenBytesComparer.Instance);
        Span<byte> bytes = stackalloc byte[TokenBytesComparer.MaxTokenBytes];
        foreach (var item in vocab.Items())
        {
            var rank = item.Required("rank").Int(0, int.MaxValue - 1);
            if (rank >= count)
            {
                continue;
            }

            var text = item.Required("token_bytes");
            if (!Convert.TryFromBase64String(text.Text(), bytes, out var length) || length == 0 || !ranks.TryAdd(bytes[..length].ToArray(), rank))
            {
                throw text.Bad($"a new token of 1 to {TokenBytesComparer.MaxTokenBytes} bytes in base64");
            }
        }

        return ranks;
    }
}
