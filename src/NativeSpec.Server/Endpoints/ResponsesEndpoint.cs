using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/responses</c>, without anything that is kept between requests.</summary>
internal sealed class ResponsesEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<ResponsesEndpoint> logger)
{
    public async Task<int> AnswerAsync(HttpContext context, InferenceEngine engine)
    {
        AnswerHead head;
        ChatRequest request;
        IReadOnlyList<IAsyncEnumerable<GenerationPiece>> texts;
        ReplyForm form;
        using (var body = await RequestBody.ReadAsync(context, options.MaxRequestBytes).ConfigureAwait(false))
        {
            (head, request) = RequestBody.Read(body, json => (AnswerHead.New("resp_", model.Require(json, engine), ServedModel.FingerprintOf(engine)), ResponsesRequest.Read(json, options)));
            (texts, form) = ChatEndpoint.Begin(engine, request, "input", "max_output_tokens", context.RequestAborted);
        }

        if (request.Text.IsStreamed)
        {
            return await Answering.StreamAsync(context, texts, new ResponseStream(head, request, form, engine.Tokenizer), logger).ConfigureAwait(false);
        }

        var results = await Answering.WholeAsync(texts, context.RequestAborted).ConfigureAwait(false);
        await JsonAnswer.WriteAsync(context.Response, ResponseStream.Whole(head, request, form, engine.Tokenizer, results[0]), ServerJson.Default.Response).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }
}
