using System.Text.Json;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/responses</c>, without anything that is kept between requests.</summary>
internal sealed class ResponsesEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<ResponsesEndpoint> logger)
    : TextEndpoint<Response>(options, ServerJson.Default.Response, logger)
{
    protected override TextAnswer<Response> Begin(JsonDocument body, InferenceEngine engine, CancellationToken cancellationToken)
    {
        var (head, request) = RequestBody.Read(body, json => (AnswerHead.New("resp_", model.Require(json, engine), ServedModel.FingerprintOf(engine)), ResponsesRequest.Read(json, Options)));
        var (texts, form) = Conversations.Begin(engine, request, "input", "max_output_tokens", cancellationToken);
        return new TextAnswer<Response>(
            request.Text.IsStreamed,
            texts,
            () => new ResponseStream(head, request, form, engine.Tokenizer),
            results => ResponseStream.Whole(head, request, form, engine.Tokenizer, results[0]));
    }
}
