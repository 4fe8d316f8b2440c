using System.Globalization;
using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>What <c>tokenizer_config.json</c>, <c>special_tokens_map.json</c>, <c>added_tokens.json</c>, <c>generation_config.json</c> and the
/// chat template say beside the tokenizer's own file. All of it is optional.</summary>
internal sealed class TokenizerConfig
{
    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
    private static readonly string[] RoleLists = ["additional_special_tokens", "extra_special_tokens"];
    private static readonly string[] RoleIds = ["bos_token_id", "eos_token_id", "pad_token_id"];

    /// <summary>The text of the begin-of-text token.</summary>
    public string? BosToken { get; private init; }

    /// <summary>The text of the end-of-text token.</summary>
    public string? EosToken { get; private init; }

    /// <summary>Whether the begin-of-text token is put before a text, where the file says so.</summary>
    public bool? AddBos { get; private init; }

    /// <summary>Whether the end-of-text token is put after a text, where the file says so.</summary>
    public bool? AddEos { get; private init; }

    /// <summary>Whether a space is put before a text, where the file says so.</summary>
    public bool? AddPrefixSpace { get; private init; }

    /// <summary>False where a space is put only before the whole text and not after each control token too. transformers' Llama classes
    /// take <c>legacy</c> for true where it is absent.</summary>
    public bool IsLegacy { get; private init; } = true;

    /// <summary>Which of transformers' classes the tokenizer is of, if one whose defaults matter.</summary>
    public TokenizerClass? Class { get; private init; }

    /// <summary>The entries of <c>added_tokens_decoder</c>, or for older checkpoints of <c>added_tokens.json</c>.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; private init; } = [];

    /// <summary>The texts of the tokens that have a role: they begin, end, pad, or are listed as special.</summary>
    public IReadOnlySet<string> SpecialTokens { get; private init; } = new HashSet<string>();

    private HashSet<int> SpecialIds { get; init; } = [];

    private string ChatTemplates { get; init; } = "";

    /// <summary>Reads the files that are there.</summary>
    public static TokenizerConfig Read(string directory, LoadLimits limits)
    {
        var config = ReadFile(directory, "tokenizer_config.json", limits);
        var map = ReadFile(directory, "special_tokens_map.json", limits);
        var bos = TokenText(config, "bos_token") ?? TokenText(map, "bos_token");
        var eos = TokenText(config, "eos_token") ?? TokenText(map, "eos_token");
        return new()
        {
            BosToken = bos,
            EosToken = eos,
            AddBos = Flag(config, "add_bos_token"),
            AddEos = Flag(config, "add_eos_token"),
            AddPrefixSpace = config?.Optional("add_prefix_space") is null ? null : Flag(config, "add_prefix_space"),
            IsLegacy = config?.Flag("legacy", true) ?? true,
            Class = TokenizerClass.Find(config?.Optional("tokenizer_class")?.Text()),
            AddedTokens = config?.Optional("added_tokens_decoder") is { } decoder
                ? ReadDecoder(decoder, limits)
                : ReadOldAddedTokens(ReadFile(directory, "added_tokens.json", limits), limits),
            SpecialTokens = new HashSet<string>(ReadRoles(config).Concat(ReadRoles(map)), StringComparer.Ordinal),
            SpecialIds = ReadRoleIds(ReadFile(directory, "generation_config.json", limits)),
            ChatTemplates = ReadTemplates(config, directory, limits),
        };
    }

    /// <summary>Reads the flags of an added token.</summary>
    public static AddedToken ReadToken(JsonPart part, int id)
    {
        var special = part.Flag("special", false);
        return new(id, part.Required("content").Text(), special)
        {
            Normalized = part.Flag("normalized", !special),
            LeftStrip = part.Flag("lstrip", false),
            RightStrip = part.Flag("rstrip", false),
            SingleWord = part.Flag("single_word", false),
        };
    }

    /// <summary>The token with what these files say of it: one that has a role is special, and one that the chat template writes steers the
    /// model as well, whether it is marked special or not.</summary>
    public AddedToken WithRole(AddedToken token)
    {
        var special = token.Special || SpecialTokens.Contains(token.Content) || SpecialIds.Contains(token.Id);
        var written = token.Content.AsSpan().Trim().Length > 0 && ChatTemplates.Contains(token.Content, StringComparison.Ordinal);
        return token with { Special = special, Control = special || written };
    }

    private static JsonPart? ReadFile(string directory, string name, LoadLimits limits)
    {
        var file = Path.Combine(directory, name);
        return File.Exists(file) ? JsonPart.Parse(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes))) : null;
    }

    // A token is written as its text, or as an object with its text as "content".
    private static string? TokenText(JsonPart? root, string name) => root?.Optional(name) switch
    {
        null => null,
        { } token => TokenText(token),
    };

    private static string TokenText(JsonPart token) =>
        token.Value.ValueKind == JsonValueKind.Object ? token.Required("content").Text() : token.Text();

    // A null is what Python calls None: given, and false.
    private static bool? Flag(JsonPart? root, string name) =>
        root is not { } part || !part.Value.TryGetProperty(name, out _) ? null : part.Flag(name, false);

    private static IEnumerable<string> ReadRoles(JsonPart? root)
    {
        foreach (var role in Roles)
        {
            if (TokenText(root, role) is { } text)
            {
                yield return text;
            }
        }

        foreach (var name in RoleLists)
        {
            var items = root?.Optional(name) switch
            {
                { Value.ValueKind: JsonValueKind.Array } array => array.Items(),
                { Value.ValueKind: JsonValueKind.Object } named => named.Members().Select(m => m.Part),
                _ => [],
            };
            foreach (var item in items)
            {
                yield return TokenText(item);
            }
        }
    }

    private static HashSet<int> ReadRoleIds(JsonPart? root)
    {
        var ids = new HashSet<int>();
        foreach (var name in RoleIds)
        {
            if (root?.Optional(name) is not { } part)
            {
                continue;
            }

            foreach (var id in part.Value.ValueKind == JsonValueKind.Array ? part.Items() : [part])
            {
                if (id.Value.ValueKind == JsonValueKind.Number && id.Value.TryGetInt32(out var value))
                {
                    ids.Add(value);
                }
            }
        }

        return ids;
    }

    // One template, or several as [{"name": …, "template": …}]; newer checkpoints have a file of its own.
    private static string ReadTemplates(JsonPart? config, string directory, LoadLimits limits)
    {
        var texts = config?.Optional("chat_template") switch
        {
            { Value.ValueKind: JsonValueKind.Array } list => list.Items().Select(item => item.Required("template").Text()),
            { } text => [text.Text()],
            null => [],
        };
        var file = Path.Combine(directory, "chat_template.jinja");
        return string.Join('\n', File.Exists(file)
            ? texts.Append(System.Text.Encoding.UTF8.GetString(RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes))))
            : texts);
    }

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
            tokens.Add(new(part.Int(0, limits.MaxVocabSize - 1), content, Special: false));
        }

        return tokens;
    }
}

/// <summary>Those of transformers' tokenizer classes that put the tokens around a text by themselves, whatever tokenizer.json says, and what
/// they do where the configuration says nothing.</summary>
/// <param name="Bos">The token that begins a text; it is put before a text unless <c>add_bos_token</c> is false.</param>
/// <param name="Eos">The token that ends a text; it is put after a text only if <c>add_eos_token</c> is true.</param>
internal sealed record TokenizerClass(string Bos, string Eos)
{
    /// <summary>The class of a name, with or without Fast at its end; null for all others.</summary>
    public static TokenizerClass? Find(string? name) => name switch
    {
        "LlamaTokenizer" or "LlamaTokenizerFast" or "CodeLlamaTokenizer" or "CodeLlamaTokenizerFast" => new("<s>", "</s>"),
        "GemmaTokenizer" or "GemmaTokenizerFast" => new("<bos>", "<eos>"),
        "CohereTokenizer" or "CohereTokenizerFast" => new("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
        _ => null,
    };
}
