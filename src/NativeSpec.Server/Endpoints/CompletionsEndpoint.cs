using System.Text.Json;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary><c>POST /v1/completions</c>.</summary>
internal sealed class CompletionsEndpoint(NativeSpecServerOptions options, ServedModel model, ILogger<CompletionsEndpoint> logger)
    : TextEndpoint<Completion>(options, ServerJson.Default.Completion, logger)
{
    protected override TextAnswer<Completion> Begin(JsonDocument body, InferenceEngine engine, CancellationToken cancellationToken)
    {
        var (head, request) = RequestBody.Read(
            body, json => (AnswerHead.New("cmpl-", model.Require(json, engine), ServedModel.FingerprintOf(engine)), CompletionRequest.Read(json, Options, engine.MaxContext)));
        var texts = Begin(engine, request, cancellationToken);
        string[] prompts = [.. request.Prompts.SelectMany(prompt => Enumerable.Repeat(request.Echo ? prompt.Show(engine) : "", request.Text.Choices))];
        return new TextAnswer<Completion>(
            request.Text.IsStreamed,
            texts,
            () => new CompletionStream(head, request, prompts, engine.Tokenizer),
            results => CompletionStream.Whole(head, request, prompts, engine.Tokenizer, results));
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
