using System.Text.Json;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<ChatEndpoint> logger)
    : TextEndpoint<ChatCompletion>(options, ServerJson.Default.ChatCompletion, logger)
{
    protected override TextAnswer<ChatCompletion> Begin(JsonDocument body, InferenceEngine engine, CancellationToken cancellationToken)
    {
        var (head, request, maxTokens) = RequestBody.Read(body, json => (
            AnswerHead.New("chatcmpl-", model.Require(json, engine), ServedModel.FingerprintOf(engine)),
            ChatRequest.Read(json, Options),
            json.Has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens"));
        var (texts, form) = Conversations.Begin(engine, request, "messages", maxTokens, cancellationToken);
        return new TextAnswer<ChatCompletion>(
            request.Text.IsStreamed,
            texts,
            () => new ChatStream(head, request.Text, form, request.SeveralCalls, engine.Tokenizer),
            results => ChatStream.Whole(head, request.Text, form, request.SeveralCalls, engine.Tokenizer, results));
    }
}
