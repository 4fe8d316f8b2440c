using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using NativeSpec.Chat.Replies;
using NativeSpec.Chat.Templates;
using NativeSpec.Loading;
using NativeSpec.Tokenization;

namespace NativeSpec.Chat;

/// <summary>The chat templates of a model, and the texts of the tokens that they name.</summary>
/// <remarks>Later files win: <c>chat_template</c> in <c>tokenizer_config.json</c> (one template, or several with names), <c>chat_template.jinja</c>,
/// <c>additional_chat_templates/NAME.jinja</c>.</remarks>
public sealed class ChatTemplates
{
    /// <summary>The template of a model that has one.</summary>
    public const string DefaultName = "default";

    /// <summary>The template that is taken where there are tools.</summary>
    public const string ToolsName = "tool_use";

    private const int MostTemplates = 64;

    /// <summary>What templates call the tokenizer's tokens.</summary>
    internal static readonly string[] TokenNames = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

    private readonly Dictionary<string, ChatTemplate> _templates;
    private readonly ConcurrentDictionary<ChatTemplate, CallTurnStyle> _styles = new();
    private readonly string _where;

    private ChatTemplates(Dictionary<string, ChatTemplate> templates, Dictionary<string, string> tokens, string where) => (_templates, Tokens, _where) = (templates, tokens, where);

    /// <summary>The names of the templates that come with the library, for models whose files have none: <c>chatml</c>, <c>llama3</c>, …</summary>
    public static IReadOnlyCollection<string> BuiltInNames => [.. BuiltInTemplates.All.Keys];

    /// <summary>The names of the templates that are there.</summary>
    public IReadOnlyCollection<string> Names => _templates.Keys;

    /// <summary>The texts of the tokenizer's tokens by the names that templates have for them: <c>bos_token</c>, …</summary>
    public IReadOnlyDictionary<string, string> Tokens { get; }

    /// <summary>Texts that end an answer, of a template that writes no control token there.</summary>
    public IReadOnlyList<string> StopStrings { get; private init; } = [];

    /// <summary>Reads the templates of a model's folder. A folder without one is none that is wrong: <see cref="Render"/> says what to do.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="limits">The most that the files may ask for; null for <see cref="LoadLimits.Default"/>.</param>
    /// <exception cref="ModelFormatException">A file is broken, or a template is no Jinja or uses what is not supported.</exception>
    public static ChatTemplates Load(string folder, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        limits ??= LoadLimits.Default;
        Dictionary<string, ChatTemplate> templates = new(StringComparer.Ordinal);
        Dictionary<string, string> tokens = new(StringComparer.Ordinal);
        ReadTokens(Path.Combine(folder, "special_tokens_map.json"), tokens, limits);
        var config = Path.Combine(folder, "tokenizer_config.json");
        ReadTokens(config, tokens, limits);
        ReadConfig(config, templates, limits);
        ReadTemplate(Path.Combine(folder, "chat_template.jinja"), DefaultName, templates, limits);
        var others = Path.Combine(folder, "additional_chat_templates");
        if (Directory.Exists(others))
        {
            foreach (var file in Directory.EnumerateFiles(others, "*.jinja").Take(MostTemplates).Order(StringComparer.Ordinal))
            {
                ReadTemplate(file, Path.GetFileNameWithoutExtension(file), templates, limits);
            }
        }

        return new ChatTemplates(templates, tokens, folder);
    }

    /// <summary>These tokens with one of the templates that come with the library.</summary>
    /// <param name="name">One of <see cref="BuiltInNames"/>.</param>
    /// <exception cref="ArgumentException">There is none of the name.</exception>
    public ChatTemplates WithBuiltIn(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return BuiltInTemplates.All.TryGetValue(name, out var template)
            ? new ChatTemplates(Single(template), new Dictionary<string, string>(Tokens), _where) { StopStrings = BuiltInTemplates.StopStrings.GetValueOrDefault(name, []) }
            : throw new ArgumentException($"there is no built-in chat template '{name}'; there are {string.Join(", ", BuiltInNames)}", nameof(name));
    }

    /// <summary>These tokens with another template.</summary>
    /// <param name="template">Its text.</param>
    /// <exception cref="ChatTemplateException">It is no Jinja, or uses what is not supported.</exception>
    public ChatTemplates With(string template) => new(Single(template), new Dictionary<string, string>(Tokens), _where);

    /// <summary>Renders a conversation.</summary>
    /// <param name="turns">The turns.</param>
    /// <param name="format">How; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the rendering.</param>
    /// <exception cref="ChatTemplateException">The template refuses the conversation or cannot render it.</exception>
    /// <exception cref="InvalidOperationException">There is no such template: the message says which there are.</exception>
    public RenderedChat Render(IReadOnlyList<ChatTurn> turns, ChatFormat? format = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(turns);
        format ??= new ChatFormat();
        var style = turns.Any(turn => turn.ToolCalls.Count > 0) ? _styles.GetOrAdd(Select(format), _ => ReplyProbe.FindStyle(this, format.Shared)) : default;
        return RenderIn(style, turns, format, cancellationToken);
    }

    /// <summary>Finds out how answers to conversations of a format mark thoughts and calls of tools. It renders a few conversations:
    /// <see cref="Engine.InferenceEngine.ReplyForm"/> remembers what it finds.</summary>
    /// <param name="format">How conversations are rendered; null for the defaults.</param>
    /// <param name="tokenizer">The model's tokenizer, which tells which markers are control tokens; null where they all are text.</param>
    /// <exception cref="InvalidOperationException">There is no such template: the message says which there are.</exception>
    public ReplyForm ReplyForm(ChatFormat? format = null, Tokenizer? tokenizer = null)
    {
        format ??= new ChatFormat();
        return ReplyProbe.Find(this, format, tokenizer) with { ToolNames = format.ToolNames };
    }

    /// <summary>Renders a conversation whose calls of tools are given in a style.</summary>
    internal RenderedChat RenderIn(CallTurnStyle style, IReadOnlyList<ChatTurn> turns, ChatFormat format, CancellationToken cancellationToken)
        => Select(format).Render(format.Data(turns, style), Tokens, format.Clock, cancellationToken);

    /// <summary>Whether the template of a format has some words in its own text.</summary>
    internal bool Mentions(ChatFormat format, string words) => Select(format).Mentions(words);

    /// <summary>The tokens with which the template ends an answer: what stands behind one in a conversation that goes on.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="format">How conversations are rendered.</param>
    public IReadOnlyList<int> EndTokens(Tokenizer tokenizer, ChatFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        const string Answer = "An answer to be found again";
        RenderedChat rendered;
        try
        {
            rendered = Render([new ChatTurn("user", "A question"), new ChatTurn("assistant", Answer)], (format ?? new ChatFormat()) with { AddGenerationPrompt = false });
        }
        catch (ChatTemplateException)
        {
            return []; // it has no such conversations
        }

        var at = rendered.Text.LastIndexOf(Answer, StringComparison.Ordinal);
        var rest = at < 0 ? "" : rendered.Text[(at + Answer.Length)..].TrimStart();
        return tokenizer.Encode(rest, addSpecial: false, parseSpecial: true) is [var first, ..] && first != tokenizer.BosId && tokenizer.IsControl(first) ? [first] : [];
    }

    private static Dictionary<string, ChatTemplate> Single(string template) => new(StringComparer.Ordinal) { [DefaultName] = ChatTemplate.Parse(template) };

    private ChatTemplate Select(ChatFormat format)
    {
        if (format.Template is { } name)
        {
            return _templates.GetValueOrDefault(name)
                ?? throw new InvalidOperationException($"the model in {_where} has no chat template '{name}'; it has {(_templates.Count == 0 ? "none" : string.Join(", ", _templates.Keys))}");
        }

        return (format.Tools.Count > 0 ? _templates.GetValueOrDefault(ToolsName) : null)
            ?? _templates.GetValueOrDefault(DefaultName)
            ?? throw new InvalidOperationException(
                $"the model in {_where} has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja): name one that fits how it was trained, of {string.Join(", ", BuiltInNames)}, or give its text");
    }

    private static void ReadConfig(string file, Dictionary<string, ChatTemplate> templates, LoadLimits limits)
    {
        if (!File.Exists(file))
        {
            return;
        }

        using var document = JsonText.ParseObject(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)));
        if (!document.RootElement.TryGetProperty("chat_template", out var member) || member.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        if (member.ValueKind == JsonValueKind.String)
        {
            templates[DefaultName] = Parse(file, member.GetString()!);
            return;
        }

        if (member.ValueKind != JsonValueKind.Array || member.GetArrayLength() > MostTemplates)
        {
            throw new ModelFormatException(file, $"chat_template is {JsonText.Describe(member)}; expected a text, or at most {MostTemplates} objects with a name and a template");
        }

        foreach (var entry in member.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object || !entry.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("template", out var template) || template.ValueKind != JsonValueKind.String)
            {
                throw new ModelFormatException(file, $"an entry of chat_template is {JsonText.Describe(entry)}; expected an object with a name and a template");
            }

            templates[name.GetString()!] = Parse(file, template.GetString()!);
        }
    }

    private static void ReadTemplate(string file, string name, Dictionary<string, ChatTemplate> templates, LoadLimits limits)
    {
        if (File.Exists(file))
        {
            templates[name] = Parse(file, Encoding.UTF8.GetString(RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes))));
        }
    }

    private static ChatTemplate Parse(string file, string template)
    {
        try
        {
            return ChatTemplate.Parse(template);
        }
        catch (ChatTemplateException error)
        {
            throw new ModelFormatException(file, error.Message, error);
        }
    }

    private static void ReadTokens(string file, Dictionary<string, string> tokens, LoadLimits limits)
    {
        if (!File.Exists(file))
        {
            return;
        }

        using var document = JsonText.ParseObject(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)));
        foreach (var name in TokenNames)
        {
            if (document.RootElement.TryGetProperty(name, out var token) && TextOf(token) is { } text)
            {
                tokens[name] = text;
            }
        }
    }

    // A token is written as its text, or as an object with its text as "content".
    private static string? TextOf(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token.GetString(),
        JsonValueKind.Object when token.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String => content.GetString(),
        _ => null,
    };
}
