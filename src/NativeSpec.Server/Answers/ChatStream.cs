using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Answers;

/// <summary>Streams a chat answer: a chunk for each round that wrote something, the last with the finish reason, then what was used where that was asked for.</summary>
internal sealed class ChatStream(AnswerHead head, TextRequest request, ReplyForm form, bool severalCalls, Tokenizer tokenizer) : IStreamFormat
{
    private readonly ChatText[] _texts = [.. Enumerable.Range(0, request.Choices).Select(_ => new ChatText(form, severalCalls))];

    public void Begin(EventStream events)
    {
        foreach (var choice in Enumerable.Range(0, request.Choices))
        {
            Write(events, new ChatChoice(choice) { Delta = new ChatDelta { Role = "assistant", Content = "" } });
        }
    }

    public void Piece(EventStream events, int choice, GenerationPiece piece)
    {
        var text = _texts[choice];
        var calls = text.Calls.Count;
        string content = "", reasoning = "";
        foreach (var part in text.Read(piece))
        {
            content += (part as TextPart)?.Text;
            reasoning += (part as ReasoningPart)?.Text;
        }

        var logProbs = ChatText.LogProbsOf(piece) is { Count: > 0 } tokens ? LogProbs.Of(tokenizer, tokens) : null;
        var ids = request.ReturnsTokenIds ? piece.Ids : null;
        if (content.Length + reasoning.Length > 0 || text.Calls.Count > calls || logProbs is not null || ids is not null)
        {
            var delta = new ChatDelta
            {
                Content = content.Length > 0 ? content : null,
                ReasoningContent = reasoning.Length > 0 ? reasoning : null,
                ToolCalls = text.Calls.Count > calls ? [.. text.Calls.Skip(calls)] : null,
            };
            Write(events, new ChatChoice(choice) { Delta = delta, Logprobs = logProbs, TokenIds = ids });
        }

        if (piece.Result is not null)
        {
            var isLast = Array.TrueForAll(_texts, other => other.Result is not null);
            var chunk = Chunk(new ChatChoice(choice) { Delta = new ChatDelta(), FinishReason = text.FinishReason });
            events.Write(isLast ? chunk with { Timings = Timings.Of(Results) } : chunk, ServerJson.Default.ChatCompletion);
        }
    }

    public void End(EventStream events)
    {
        if (request.UsageInStream)
        {
            events.Write(Chunk() with { Usage = Usage.Of(Results, request.Choices, _texts.Sum(text => text.ReasoningTokens(tokenizer))) }, ServerJson.Default.ChatCompletion);
        }

        events.WriteDone();
    }

    public void Fail(EventStream events, ApiException error)
    {
        var broken = _texts.Select((text, index) => (text, index)).Where(text => text.text.Result is null).Select(text => new ChatChoice(text.index) { Delta = new ChatDelta(), FinishReason = "error" });
        events.Write(Chunk([.. broken]) with { Error = ErrorDetail.Of(error) }, ServerJson.Default.ChatCompletion);
        events.WriteDone();
    }

    /// <summary>The whole answer of texts that have ended.</summary>
    public static ChatCompletion Whole(AnswerHead head, TextRequest request, ReplyForm form, bool severalCalls, Tokenizer tokenizer, IReadOnlyList<GenerationResult> results)
    {
        var texts = results.Select(result =>
        {
            var text = new ChatText(form, severalCalls);
            foreach (var part in text.Read(new GenerationPiece(result.Text, result.Ids, result.LogProbs, result)))
            {
                _ = part; // it keeps them itself
            }

            return text;
        }).ToArray();
        return new ChatCompletion(head.Id, ChatCompletion.Whole, head.Created, head.Model, head.Fingerprint, [.. texts.Select((text, index) => new ChatChoice(index)
        {
            Message = new ChatMessage("assistant", text.Text, text.Reasoning, text.Calls.Count > 0 ? [.. text.Calls.Select(call => call with { Index = null })] : null),
            Logprobs = text.Result!.LogProbs is { Count: > 0 } tokens ? LogProbs.Of(tokenizer, ChatText.LogProbsOf(new GenerationPiece("", [], tokens, text.Result))) : null,
            FinishReason = text.FinishReason,
            TokenIds = request.ReturnsTokenIds ? text.Result.Ids : null,
        })])
        {
            Usage = Usage.Of(results, request.Choices, texts.Sum(text => text.ReasoningTokens(tokenizer))),
            Timings = Timings.Of(results),
        };
    }

    private GenerationResult[] Results => [.. _texts.Select(text => text.Result).OfType<GenerationResult>()];

    private ChatCompletion Chunk(params ChatChoice[] choices) => new(head.Id, ChatCompletion.Chunk, head.Created, head.Model, head.Fingerprint, choices);

    private void Write(EventStream events, ChatChoice choice) => events.Write(Chunk(choice), ServerJson.Default.ChatCompletion);
}
