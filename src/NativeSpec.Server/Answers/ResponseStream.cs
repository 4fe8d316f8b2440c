using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Answers;

/// <summary>Streams a response: events with names, from <c>response.created</c> to <c>response.completed</c>.</summary>
internal sealed class ResponseStream : IStreamFormat
{
    private readonly AnswerHead _head;
    private readonly ChatRequest _request;
    private readonly Tokenizer _tokenizer;
    private readonly ChatText _text;
    private readonly ResponseItems _items;
    private EventStream? _events;
    private int _sequence;

    public ResponseStream(AnswerHead head, ChatRequest request, ReplyForm form, Tokenizer tokenizer)
    {
        (_head, _request, _tokenizer) = (head, request, tokenizer);
        _text = new ChatText(form, request.SeveralCalls);
        _items = new ResponseItems(Tell);
    }

    /// <summary>The whole answer of a text that has ended.</summary>
    public static Response Whole(AnswerHead head, ChatRequest request, ReplyForm form, Tokenizer tokenizer, GenerationResult result)
    {
        var answer = new ResponseStream(head, request, form, tokenizer);
        answer.Read(new GenerationPiece(result.Text, result.Ids, result.LogProbs, result));
        return answer.End();
    }

    public void Begin(EventStream events)
    {
        _events = events;
        Tell(new ResponseEvent("response.created") { Response = Answer(Response.InProgress) });
        Tell(new ResponseEvent("response.in_progress") { Response = Answer(Response.InProgress) });
    }

    public void Piece(EventStream events, int choice, GenerationPiece piece) => Read(piece);

    public void End(EventStream events)
    {
        var answer = End();
        Tell(new ResponseEvent($"response.{answer.Status}") { Response = answer });
    }

    public void Fail(EventStream events, ApiException error)
        => Tell(new ResponseEvent("response.failed") { Response = Answer(Response.Failed) with { Error = new ResponseError(error.Code ?? error.Type, error.Message) } });

    private void Read(GenerationPiece piece)
    {
        IReadOnlyList<TokenLogProb> logProbs = piece.LogProbs.Count > 0 ? LogProbs.Of(_tokenizer, ChatText.LogProbsOf(piece)).Content : [];
        foreach (var part in _text.Read(piece))
        {
            _items.Add(part, logProbs);
            logProbs = part is TextPart ? [] : logProbs; // they count once
        }
    }

    private Response End()
    {
        var result = _text.Result!;
        var status = result.FinishReason == FinishReason.Length ? Response.Incomplete : Response.Completed;
        _items.End(status);
        return Answer(status) with
        {
            IncompleteDetails = status == Response.Incomplete ? new IncompleteDetails("max_output_tokens") : null,
            Usage = ResponseUsage.Of(Usage.Of([result], choices: 1, _text.ReasoningTokens(_tokenizer))),
            Timings = Timings.Of([result]),
        };
    }

    private Response Answer(string status) => new(_head.Id, _head.Created, _head.Model, status, [.. _items.Items])
    {
        Temperature = _request.Text.Options.Temperature,
        TopP = _request.Text.Options.TopP,
        MaxOutputTokens = _request.Text.Options.MaxTokens,
        ParallelToolCalls = _request.SeveralCalls,
        ToolChoice = _request.ToolChoice,
        Tools = _request.GivenTools,
    };

    private void Tell(ResponseEvent what) => _events?.Write(what with { SequenceNumber = _sequence++ }, ServerJson.Default.ResponseEvent, what.Type);
}
