using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/completions</c>.</summary>
internal sealed class CompletionsEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<CompletionsEndpoint> logger)
{
    public async Task<int> AnswerAsync(HttpContext context, InferenceEngine engine)
    {
        AnswerHead head;
        CompletionRequest request;
        using (var body = await RequestBody.ReadAsync(context, options.MaxRequestBytes).ConfigureAwait(false))
        {
            (head, request) = RequestBody.Read(
                body, json => (AnswerHead.New("cmpl-", model.Require(json, engine), ServedModel.FingerprintOf(engine)), CompletionRequest.Read(json, options, engine.MaxContext)));
        }

        var choices = request.Text.Choices;
        var texts = Begin(engine, request, context.RequestAborted);
        string[] prompts = [.. request.Prompts.SelectMany(prompt => Enumerable.Repeat(request.Echo ? prompt.Show(engine) : "", choices))];
        if (request.Text.IsStreamed)
        {
            return await Answering.StreamAsync(context, texts, new CompletionStream(head, request, prompts, engine.Tokenizer), logger).ConfigureAwait(false);
        }

        var results = await Answering.WholeAsync(texts, context.RequestAborted).ConfigureAwait(false);
        await JsonAnswer.WriteAsync(context.Response, CompletionStream.Whole(head, request, prompts, engine.Tokenizer, results), ServerJson.Default.Completion).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }

    private static IReadOnlyList<IAsyncEnumerable<GenerationPiece>> Begin(InferenceEngine engine, CompletionRequest request, CancellationToken cancellationToken)
    {
        try
        {
            engine.ThrowIfBusy(); // nothing is encoded for a request that would be refused
            return
            [
                .. from prompt in request.Prompts
                   let ids = prompt.Encode(engine)
                   from choice in Enumerable.Range(0, request.Text.Choices)
                   select engine.GenerateAsync(ids, request.Text.OptionsOf(choice), cancellationToken),
            ];
        }
        catch (Exception error) when (error is not ApiException)
        {
            throw ErrorMapping.OfCall(error, "prompt");
        }
    }
}
