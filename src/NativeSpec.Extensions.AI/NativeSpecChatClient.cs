using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI;

/// <summary>Chat with an engine, for everything that is built on <see cref="IChatClient"/>. It keeps nothing between calls and is safe for concurrent ones, which are computed
/// together. Each member of <see cref="ChatOptions"/> acts or is refused with an exception that names it; docs/chat.md has the list.</summary>
/// <remarks>Calls of tools come whole, thoughts as <see cref="TextReasoningContent"/>, and the last update has the finish reason, the usage and, as its raw
/// representation, the <see cref="GenerationResult"/>. What the engine throws comes through: <see cref="EngineBusyException"/>, <see cref="ContextLengthException"/> and so on.</remarks>
public sealed class NativeSpecChatClient : IChatClient
{
    /// <summary>In <see cref="UsageDetails.AdditionalCounts"/>: candidates that drafters proposed and a forward computed.</summary>
    public const string DraftedTokens = "drafted_tokens";

    /// <summary>In <see cref="UsageDetails.AdditionalCounts"/>: those of them that became text.</summary>
    public const string AcceptedTokens = "accepted_tokens";

    /// <summary>In <see cref="UsageDetails.AdditionalCounts"/>: forwards after the prompt.</summary>
    public const string Rounds = "rounds";

    private readonly EngineHost? _host;
    private readonly InferenceEngine? _engine;
    private readonly ChatClientMetadata _metadata;

    /// <summary>A client of a host's engine. A request that comes while it loads waits for it.</summary>
    /// <param name="host">The host.</param>
    public NativeSpecChatClient(EngineHost host)
    {
        ArgumentNullException.ThrowIfNull(host);
        _host = host;
        _metadata = new ChatClientMetadata("nativespec", defaultModelId: host.ModelId);
    }

    /// <summary>A client of an engine that stays the caller's.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="modelId">What requests may call the model; null for the engine's name.</param>
    public NativeSpecChatClient(InferenceEngine engine, string? modelId = null)
    {
        ArgumentNullException.ThrowIfNull(engine);
        _engine = engine;
        _metadata = new ChatClientMetadata("nativespec", defaultModelId: modelId ?? engine.Name);
    }

    private string ModelId => _metadata.DefaultModelId!;

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">An option or a message asks for what there is not; the message names it.</exception>
    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    /// <exception cref="EngineUnavailableException">The engine could not be loaded, or the host stops.</exception>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        List<ChatResponseUpdate> updates = [];
        await foreach (var update in GetStreamingResponseAsync(messages, options, cancellationToken).ConfigureAwait(false))
        {
            updates.Add(update);
        }

        var response = updates.ToChatResponse();
        response.RawRepresentation = updates[^1].RawRepresentation;
        return response;
    }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">An option or a message asks for what there is not; the message names it.</exception>
    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    /// <exception cref="EngineUnavailableException">While enumerating: the engine could not be loaded, or the host stops.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var request = ChatRequest.From(messages, options ?? new ChatOptions(), this, ModelId);
        return StreamAsync(request, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(InferenceEngine) ? _engine ?? _host!.Engine
            : serviceType == typeof(EngineHost) ? _host
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Nothing: the engine is its host's, or the caller's.</summary>
    public void Dispose()
    {
    }

    private async IAsyncEnumerable<ChatResponseUpdate> StreamAsync(ChatRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_host is not null)
        {
            await _host.LoadedAsync(cancellationToken).ConfigureAwait(false);
        }

        using var lease = _host?.Enter();
        var engine = lease?.Engine ?? _engine!;
        var prompt = engine.PrepareChat(request.Turns, request.Format, cancellationToken);
        var form = prompt.Form;
        if (request.Format.Tools.Count > 0 && !form.ShowsTools)
        {
            throw new NotSupportedException(
                $"{nameof(ChatOptions)}.{nameof(ChatOptions.Tools)}: the chat template of '{ModelId}' has no place for tools, so the model would never hear of them; leave them out, or load the model with a template that shows them");
        }

        var reader = new ReplyReader(form);
        var answer = new ChatAnswer(request, ModelId);
        await foreach (var piece in engine.ChatAsync(prompt, request.Options, cancellationToken).ConfigureAwait(false))
        {
            answer.Add(reader.Read(piece.Text));
            if (piece.Result is { } result)
            {
                answer.Add(reader.End());
                yield return answer.Last(result, form.CountReasoning(result.Ids, engine.Tokenizer));
            }
            else if (answer.Next(piece) is { } update)
            {
                yield return update;
            }
        }
    }
}
