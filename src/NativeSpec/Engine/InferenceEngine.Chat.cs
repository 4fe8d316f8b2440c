using System.Collections.Concurrent;
using NativeSpec.Chat;

namespace NativeSpec.Engine;

/// <content>Conversations.</content>
public sealed partial class InferenceEngine
{
    private readonly Lazy<ChatTemplates> _chatTemplates;
    private readonly ConcurrentDictionary<(string? Template, bool HasTools), IReadOnlyList<int>> _endTokens = new(); // finding one renders a conversation

    /// <summary>The chat templates of the model, or the one that <see cref="EngineOptions.ChatTemplate"/> names. Read when it is first asked for.</summary>
    /// <exception cref="Loading.ModelFormatException">A template in the model's files is broken or uses what is not supported.</exception>
    public ChatTemplates ChatTemplates => _chatTemplates.Value;

    /// <summary>Writes the next turn of a conversation. Nothing of it is kept: the next call brings all turns again, and the prefix cache knows those that
    /// were computed already.</summary>
    /// <param name="turns">The turns so far. Whatever they spell, none of their text becomes a control token.</param>
    /// <param name="options">What to write; null for the defaults. The answer also ends where the template ends one.</param>
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
