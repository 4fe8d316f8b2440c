using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary>What the endpoints that write texts do alike: the body is read within its limit, its texts are begun before anything is sent, and they go out as they
/// come or whole.</summary>
/// <typeparam name="TWhole">A whole answer, as the protocol has it.</typeparam>
/// <param name="options">What callers may do.</param>
/// <param name="type">How a whole answer is written.</param>
/// <param name="logger">Is told of streams that were broken off.</param>
internal abstract class TextEndpoint<TWhole>(NativeSpecServerOptions options, JsonTypeInfo<TWhole> type, ILogger logger)
{
    /// <summary>What callers may do.</summary>
    protected NativeSpecServerOptions Options { get; } = options;

    /// <summary>Answers a request.</summary>
    /// <returns>The status that it counts as.</returns>
    public async Task<int> AnswerAsync(HttpContext context, InferenceEngine engine)
    {
        TextAnswer<TWhole> answer;
        using (var body = await RequestBody.ReadAsync(context, Options.MaxRequestBytes).ConfigureAwait(false))
        {
            answer = Begin(body, engine, context.RequestAborted);
        }

        if (answer.IsStreamed)
        {
            return await Answering.StreamAsync(context, answer.Texts, answer.Stream(), logger).ConfigureAwait(false);
        }

        var results = await Answering.WholeAsync(answer.Texts, context.RequestAborted).ConfigureAwait(false);
        await JsonAnswer.WriteAsync(context.Response, answer.Whole(results), type).ConfigureAwait(false);
        return StatusCodes.Status200OK;
    }

    /// <summary>Reads a request, and asks the engine for its texts; nothing is computed before they are read.</summary>
    /// <param name="body">The request; valid during the call.</param>
    /// <param name="engine">The engine.</param>
    /// <param name="cancellationToken">Ends the texts.</param>
    /// <exception cref="Errors.ApiException">The request cannot be met.</exception>
    protected abstract TextAnswer<TWhole> Begin(JsonDocument body, InferenceEngine engine, CancellationToken cancellationToken);
}

/// <summary>A request whose texts have been begun.</summary>
/// <param name="IsStreamed">Whether they go out as they come.</param>
/// <param name="Texts">The texts.</param>
/// <param name="Stream">How a protocol streams them.</param>
/// <param name="Whole">How it says them whole, from the result of each.</param>
internal sealed record TextAnswer<TWhole>(
    bool IsStreamed, IReadOnlyList<IAsyncEnumerable<GenerationPiece>> Texts, Func<IStreamFormat> Stream, Func<IReadOnlyList<GenerationResult>, TWhole> Whole);
