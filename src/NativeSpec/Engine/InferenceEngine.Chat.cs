using System.Collections.Concurrent;
using System.Collections.ObjectModel;
using System.Text;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Engine;

/// <content>Conversations.</content>
public sealed partial class InferenceEngine
{
    private const int MostReplyForms = 256, LongestVariables = 256;

    private readonly Lazy<ChatTemplates> _chatTemplates;

    private readonly ConcurrentDictionary<FormatKey, IReadOnlyList<int>> _endTokens = new(); // finding one renders a conversation
    private readonly ConcurrentDictionary<FormatKey, ReplyForm> _replyForms = new(); // likewise

    /// <summary>The chat templates of the model, or the one that <see cref="EngineOptions.ChatTemplate"/> names. Read when it is first asked for.</summary>
    /// <exception cref="Loading.ModelFormatException">A template in the model's files is broken or uses what is not supported.</exception>
    public ChatTemplates ChatTemplates => _chatTemplates.Value;

    /// <summary>How the model's answers to conversations of a format mark thoughts and calls of tools, for a <see cref="ReplyReader"/>.</summary>
    /// <param name="format">The format that the conversation is rendered with; null for the defaults.</param>
    /// <exception cref="InvalidOperationException">The model has no chat template: the message says what to do.</exception>
    public ReplyForm ReplyForm(ChatFormat? format = null)
    {
        format ??= new ChatFormat();
        var variables = new StringBuilder();
        foreach (var (name, value) in format.Variables)
        {
            variables.Append(name).Append(' ').Append(value.GetRawText()).Append('\n');
        }

        if (variables.Length > LongestVariables)
        {
            return ChatTemplates.ReplyForm(format, Tokenizer); // a switch or a word is remembered, and not somebody's text
        }

        var key = new FormatKey(format.Template, format.Tools.Count > 0, variables.ToString());
        if (!_replyForms.TryGetValue(key, out var form))
        {
            form = ChatTemplates.ReplyForm(format, Tokenizer) with { ToolNames = ReadOnlySet<string>.Empty };
            if (_replyForms.Count >= MostReplyForms)
            {
                _replyForms.Clear(); // those that are in use come back
            }

            _replyForms.TryAdd(key, form);
        }

        return form with { ToolNames = format.ToolNames };
    }

    /// <summary>Writes the next turn of a conversation. Nothing of it is kept: the next call brings all turns again, and the prefix cache knows those that
    /// were computed already.</summary>
    /// <param name="turns">The turns so far. Whatever they spell, none of their text becomes a control token.</param>
    /// <param name="options">What to write; null for the defaults. The answer also ends where the template ends one. Markers of thoughts and of calls of
    /// tools stay in the text: <see cref="ReplyReader"/> tells the parts apart.</param>
    /// <param name="format">How the conversation is made into a prompt; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the enumeration.</param>
    /// <exception cref="Chat.Templates.ChatTemplateException">The template refuses the conversation.</exception>
    /// <exception cref="InvalidOperationException">The model has no chat template: the message says what to do.</exception>
    /// <inheritdoc cref="GenerateAsync(string, GenerationOptions?, CancellationToken)" path="/exception"/>
    public IAsyncEnumerable<GenerationPiece> ChatAsync(
        IReadOnlyList<ChatTurn> turns, GenerationOptions? options = null, ChatFormat? format = null, CancellationToken cancellationToken = default)
    {
        return ChatAsync(PrepareChat(turns, format, cancellationToken), options, cancellationToken);
    }

    /// <summary>Writes the next turn of a conversation that is prepared already.</summary>
    /// <inheritdoc cref="ChatAsync(IReadOnlyList{ChatTurn}, GenerationOptions?, ChatFormat?, CancellationToken)"/>
    public IAsyncEnumerable<GenerationPiece> ChatAsync(ChatPrompt prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        options ??= new GenerationOptions();
        if (prompt.Form.MarkerIds is { Count: > 0 } markers)
        {
            options = options with { ShownIds = [.. options.ShownIds, .. markers] };
        }

        if (!options.IgnoreEndOfText)
        {
            options = options with
            {
                StopIds = [.. options.StopIds, .. prompt.EndIds],
                StopStrings = [.. options.StopStrings, .. ChatTemplates.StopStrings],
            };
        }

        return GenerateAsync(prompt.Ids, options, cancellationToken);
    }

    /// <summary>Makes a conversation into a prompt: once for all the answers that are to follow it.</summary>
    /// <param name="turns">The turns so far.</param>
    /// <param name="format">How; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the rendering.</param>
    /// <exception cref="EngineBusyException">Too many requests wait: nothing is rendered for one that would be refused.</exception>
    /// <exception cref="Chat.Templates.ChatTemplateException">The template refuses the conversation.</exception>
    /// <exception cref="InvalidOperationException">The model has no chat template: the message says what to do.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public ChatPrompt PrepareChat(IReadOnlyList<ChatTurn> turns, ChatFormat? format = null, CancellationToken cancellationToken = default)
    {
        ThrowIfBusy();
        format ??= new ChatFormat();
        var ids = ChatTemplates.Render(turns, format, cancellationToken).Encode(Tokenizer);
        return new ChatPrompt(ids, ReplyForm(format), EndTokens(format));
    }

    /// <summary>Writes the whole next turn of a conversation.</summary>
    public Task<GenerationResult> CompleteChatAsync(
        IReadOnlyList<ChatTurn> turns, GenerationOptions? options = null, ChatFormat? format = null, CancellationToken cancellationToken = default)
        => LastAsync(ChatAsync(turns, options, format, cancellationToken));

    private IReadOnlyList<int> EndTokens(ChatFormat format)
        => _endTokens.GetOrAdd(new FormatKey(format.Template, format.Tools.Count > 0, ""), _ => ChatTemplates.EndTokens(Tokenizer, format.Shared));

    private static ChatTemplates ReadChatTemplates(string path, EngineOptions options)
    {
        var templates = ChatTemplates.Load(Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!, options.Limits);
        return options.ChatTemplate switch
        {
            null => templates,
            var text when text.Contains("{{", StringComparison.Ordinal) || text.Contains("{%", StringComparison.Ordinal) => templates.With(text),
            var name => templates.WithBuiltIn(name),
        };
    }

    /// <summary>What an answer's marks depend on.</summary>
    private sealed record FormatKey(string? Template, bool HasTools, string Variables);
}
