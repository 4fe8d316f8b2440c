using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Answers;

/// <summary>Streams completions: a chunk for each round that wrote something, the last of a text with its finish reason.</summary>
/// <param name="head">What every chunk repeats.</param>
/// <param name="request">The request.</param>
/// <param name="prompts">[text] its prompt, where answers begin with theirs; otherwise empty texts.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
internal sealed class CompletionStream(AnswerHead head, CompletionRequest request, IReadOnlyList<string> prompts, Tokenizer tokenizer) : IStreamFormat
{
    private readonly GenerationResult?[] _results = new GenerationResult?[prompts.Count];
    private readonly int[] _offsets = new int[prompts.Count];

    public void Begin(EventStream events)
    {
        for (var choice = 0; choice < prompts.Count; choice++)
        {
            if (prompts[choice].Length > 0)
            {
                Write(events, new CompletionChoice(choice, prompts[choice]));
            }
        }
    }

    public void Piece(EventStream events, int choice, GenerationPiece piece)
    {
        _results[choice] = piece.Result;
        var logProbs = ChatText.LogProbsOf(piece) is { Count: > 0 } tokens ? CompletionLogProbs.Of(tokenizer, tokens, _offsets[choice]) : null;
        _offsets[choice] += logProbs?.Tokens.Sum(token => token.Length) ?? 0;
        if (piece.Result is null && piece.Text.Length == 0 && logProbs is null && !request.Text.ReturnsTokenIds)
        {
            return;
        }

        var chunk = Chunk(new CompletionChoice(choice, piece.Text)
        {
            Logprobs = logProbs,
            FinishReason = piece.Result is null ? null : ChatText.Words(piece.Result),
            TokenIds = request.Text.ReturnsTokenIds ? piece.Ids : null,
        });
        events.Write(Array.TrueForAll(_results, result => result is not null) ? chunk with { Timings = Timings.Of(Results) } : chunk, ServerJson.Default.Completion);
    }

    public void End(EventStream events)
    {
        if (request.Text.UsageInStream)
        {
            events.Write(Chunk() with { Usage = Usage.Of(Results, request.Text.Choices, reasoning: 0) }, ServerJson.Default.Completion);
        }

        events.WriteDone();
    }

    public void Fail(EventStream events, ApiException error)
    {
        var broken = _results.Select((result, index) => (result, index)).Where(text => text.result is null).Select(text => new CompletionChoice(text.index, "") { FinishReason = "error" });
        events.Write(Chunk([.. broken]) with { Error = ErrorDetail.Of(error) }, ServerJson.Default.Completion);
        events.WriteDone();
    }

    /// <summary>The whole answer of texts that have ended.</summary>
    public static Completion Whole(AnswerHead head, CompletionRequest request, IReadOnlyList<string> prompts, Tokenizer tokenizer, IReadOnlyList<GenerationResult> results)
        => new(head.Id, head.Created, head.Model, head.Fingerprint, [.. results.Select((result, index) => new CompletionChoice(index, prompts[index] + result.Text)
        {
            Logprobs = result.LogProbs.Count > 0 ? CompletionLogProbs.Of(tokenizer, ChatText.LogProbsOf(new GenerationPiece("", [], result.LogProbs, result)), offset: 0) : null,
            FinishReason = ChatText.Words(result),
            TokenIds = request.Text.ReturnsTokenIds ? result.Ids : null,
        })])
        {
            Usage = Usage.Of(results, request.Text.Choices, reasoning: 0),
            Timings = Timings.Of(results),
        };

    private GenerationResult[] Results => [.. _results.OfType<GenerationResult>()];

    private Completion Chunk(params CompletionChoice[] choices) => new(head.Id, head.Created, head.Model, head.Fingerprint, choices);

    private void Write(EventStream events, CompletionChoice choice) => events.Write(Chunk(choice), ServerJson.Default.Completion);
}
