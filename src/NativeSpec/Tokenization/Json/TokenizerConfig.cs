using System.Globalization;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>What <c>tokenizer_config.json</c> (and for older checkpoints <c>special_tokens_map.json</c> and <c>added_tokens.json</c>)
/// says beside the tokenizer's own file. All of it is optional.</summary>
internal sealed class TokenizerConfig
{
    /// <summary>The text of the begin-of-text token.</summary>
    public string? BosToken { get; private init; }

    /// <summary>The text of the end-of-text token.</summary>
    public string? EosToken { get; private init; }

    /// <summary>Whether the begin-of-text token is put before a text, where the file says so.</summary>
    public bool? AddBos { get; private init; }

    /// <summary>Whether the end-of-text token is put after a text, where the file says so.</summary>
    public bool? AddEos { get; private init; }

    /// <summary>Whether the tokenizer is one of transformers' Llama classes, which build the post-processor from <see cref="AddBos"/> and
    /// <see cref="AddEos"/> and not from tokenizer.json.</summary>
    public bool IsLlamaClass { get; private init; }

    /// <summary>Tokens beyond the pieces of a tokenizer.model.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; private init; } = [];

    /// <summary>Reads the files that are there.</summary>
    public static TokenizerConfig Read(string directory, LoadLimits limits)
    {
        var config = ReadFile(directory, "tokenizer_config.json", limits);
        var map = ReadFile(directory, "special_tokens_map.json", limits);
        return new()
        {
            BosToken = TokenText(config, "bos_token") ?? TokenText(map, "bos_token"),
            EosToken = TokenText(config, "eos_token") ?? TokenText(map, "eos_token"),
            AddBos = Flag(config, "add_bos_token"),
            AddEos = Flag(config, "add_eos_token"),
            IsLlamaClass = config?.Optional("tokenizer_class")?.Text() is "LlamaTokenizer" or "LlamaTokenizerFast",
            AddedTokens = config?.Optional("added_tokens_decoder") is { } decoder
                ? ReadDecoder(decoder, limits)
                : ReadOldAddedTokens(ReadFile(directory, "added_tokens.json", limits), limits),
        };
    }

    /// <summary>Reads the flags of an added token.</summary>
    public static AddedToken ReadToken(JsonPart part, int id)
    {
        var content = part.Required("content").Text();
        var special = part.Flag("special", false) || ControlNames.Contains(content);
        return new(id, content, special)
        {
            Normalized = part.Flag("normalized", !special),
            LeftStrip = part.Flag("lstrip", false),
            RightStrip = part.Flag("rstrip", false),
            SingleWord = part.Flag("single_word", false),
        };
    }

    /// <summary>The token, as a control token where this file gives it the role of beginning or ending a text.</summary>
    public AddedToken WithRole(AddedToken token) =>
        token.Content == BosToken || token.Content == EosToken ? token with { Special = true } : token;

    private static JsonPart? ReadFile(string directory, string name, LoadLimits limits)
    {
        var file = Path.Combine(directory, name);
        return File.Exists(file)
            ? JsonPart.Parse(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)))
            : null;
    }

    // A token is written as its text, or as an object with its text as "content".
    private static string? TokenText(JsonPart? root, string name) => root?.Optional(name) switch
    {
        null => null,
        { Value.ValueKind: JsonValueKind.Object } token => token.Required("content").Text(),
        { } token => token.Text(),
    };

    private static bool? Flag(JsonPart? root, string name) => root?.Optional(name) is null ? null : root?.Flag(name, false);

    private static List<AddedToken> ReadDecoder(JsonPart decoder, LoadLimits limits)
    {
        var tokens = new List<AddedToken>();
        foreach (var (name, part) in decoder.Members())
        {
            if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || id >= limits.MaxVocabSize)
            {
                throw part.Bad($"a token id from 0 to {limits.MaxVocabSize - 1} as its name");
            }

            tokens.Add(ReadToken(part, id));
        }

        return tokens;
    }

    private static List<AddedToken> ReadOldAddedTokens(JsonPart? root, LoadLimits limits)
    {
        var tokens = new List<AddedToken>();
        foreach (var (content, part) in root?.Members() ?? [])
        {
            tokens.Add(new(part.Int(0, limits.MaxVocabSize - 1), content, ControlNames.Contains(content)));
        }

        return tokens;
    }
}
