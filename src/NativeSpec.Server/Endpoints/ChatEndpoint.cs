using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<ChatEndpoint> logger)
{
    public async Task<int> AnswerAsync(HttpContext context, InferenceEngine engine)
    {
        AnswerHead head;
        ChatRequest request;
        IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts;
        ReplyForm form;
        string maxTokens;
        using (var body = await RequestBody.ReadAsync(context, options.MaxRequestBytes).ConfigureAwait(false))
        {
            (head, request, maxTokens) = RequestBody.Read(body, json => (
                AnswerHead.New("chatcmpl-", model.Require(json, engine), ServedModel.FingerprintOf(engine)),
                ChatRequest.Read(json, options),
                json.Has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens"));
            (texts, form) = Begin(engine, request, "messages", maxTokens, context.RequestAborted);
        }

        if (request.Text.IsStreamed)
        {
            return await Answering.StreamAsync(context, texts, new ChatStream(head, request.Text, form, request.SeveralCalls, engine.Tokenizer), logger).ConfigureAwait(false);
        }

        var results = await Answering.WholeAsync(texts, context.RequestAborted).ConfigureAwait(false);
        var answer = ChatStream.Whole(head, request.Text, form, request.SeveralCalls, engine.Tokenizer, results);
        await JsonAnswer.WriteAsync(context.Response, answer, ServerJson.Default.ChatCompletion).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }

    /// <summary>Asks the engine for the texts; nothing is computed before they are read.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="request">The request.</param>
    /// <param name="prompt">The request's name of the conversation.</param>
    /// <param name="maxTokens">The request's name of the most tokens.</param>
    /// <param name="cancellationToken">Ends the texts.</param>
    public static (IReadOnlyList<IAsyncEnumerable<GenerationPiece>> Texts, ReplyForm Form) Begin(
        InferenceEngine engine, ChatRequest request, string prompt, string maxTokens, CancellationToken cancellationToken)
    {
        try
        {
            var conversation = engine.PrepareChat(request.Turns, request.Format, cancellationToken);
            if (request.Format.Tools.Count > 0 && !conversation.Form.ShowsTools)
            {
                throw ApiException.Unsupported("tools", "the model's chat template has no place for tools, so it would never hear of them: leave them out, or serve the model with a template that shows them");
            }

            return ([.. Enumerable.Range(0, request.Text.Choices).Select(choice => engine.ChatAsync(conversation, request.Text.OptionsOf(choice), cancellationToken))], conversation.Form);
        }
        catch (Exception error) when (error is not ApiException)
        {
            throw ErrorMapping.OfCall(error, prompt, maxTokens);
        }
    }
}
