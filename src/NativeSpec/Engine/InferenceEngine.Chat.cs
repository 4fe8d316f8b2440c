using System.Collections.Concurrent;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Engine;

/// <content>Conversations.</content>
public sealed partial class InferenceEngine
{
    private readonly Lazy<ChatTemplates> _chatTemplates;
    private const int MostReplyForms = 256;

    private readonly ConcurrentDictionary<(string? Template, bool HasTools), IReadOnlyList<int>> _endTokens = new(); // finding one renders a conversation
    private readonly ConcurrentDictionary<(string? Template, bool HasTools, string Variables), ReplyForm> _replyForms = new(); // likewise

    /// <summary>The chat templates of the model, or the one that <see cref="EngineOptions.ChatTemplate"/> names. Read when it is first asked for.</summary>
    /// <exception cref="Loading.ModelFormatException">A template in the model's files is broken or uses what is not supported.</exception>
    public ChatTemplates ChatTemplates => _chatTemplates.Value;

    /// <summary>How the model's answers to conversations of a format mark thoughts and calls of tools, for a <see cref="ReplyReader"/>.</summary>
    /// <param name="format">The format that the conversation is rendered with; null for the defaults.</param>
    /// <exception cref="InvalidOperationException">The model has no chat template: the message says what to do.</exception>
    public ReplyForm ReplyForm(ChatFormat? format = null)
    {
        format ??= new ChatFormat();
        var key = (format.Template, format.Tools.Count > 0, string.Join('\n', format.Variables.Select(variable => $"{variable.Key} {variable.Value.GetRawText()}")));
        if (!_replyForms.TryGetValue(key, out var form))
        {
            form = ChatTemplates.ReplyForm(format, Tokenizer);
            if (_replyForms.Count < MostReplyForms) // variables are a request's
            {
                _replyForms.TryAdd(key, form);
            }
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
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        options ??= new GenerationOptions();
        format ??= new ChatFormat();
        var prompt = ChatTemplates.Render(turns, format, cancellationToken).Encode(Tokenizer);
        if (ReplyForm(format).MarkerIds is { Count: > 0 } markers)
        {
            options = options with { ShownIds = [.. options.ShownIds, .. markers] };
        }

        if (!options.IgnoreEndOfText)
        {
            options = options with
            {
                StopIds = [.. options.StopIds, .. EndTokens(format)],
                StopStrings = [.. options.StopStrings, .. ChatTemplates.StopStrings],
            };
        }

        return GenerateAsync(prompt, options, cancellationToken);
    }

    /// <summary>Writes the whole next turn of a conversation.</summary>
    public Task<GenerationResult> CompleteChatAsync(
        IReadOnlyList<ChatTurn> turns, GenerationOptions? options = null, ChatFormat? format = null, CancellationToken cancellationToken = default)
        => LastAsync(ChatAsync(turns, options, format, cancellationToken));

    private IReadOnlyList<int> EndTokens(ChatFormat format)
        => _endTokens.GetOrAdd((format.Template, format.Tools.Count > 0), _ => ChatTemplates.EndTokens(Tokenizer, format));

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
}
