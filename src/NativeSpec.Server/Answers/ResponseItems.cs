using System.Text;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Server.Answers;

/// <summary>Makes the items of a response out of an answer's parts, and tells what a stream's events are.</summary>
/// <param name="tell">Told each event.</param>
internal sealed class ResponseItems(Action<ResponseEvent> tell)
{
    private readonly List<OutputItem> _items = [];
    private readonly List<TokenLogProb> _logProbs = [];
    private readonly StringBuilder _text = new();
    private OutputItem? _open; // a message or a thought that is being written
    private int _calls;

    /// <summary>The items that are whole.</summary>
    public IReadOnlyList<OutputItem> Items => _items;

    private bool IsThought => _open!.Type == "reasoning";

    private int Index => _items.Count;

    /// <summary>Takes a part.</summary>
    /// <param name="part">The part.</param>
    /// <param name="logProbs">Of the tokens of the piece that it stood in.</param>
    public void Add(ReplyPart part, IReadOnlyList<TokenLogProb> logProbs)
    {
        switch (part)
        {
            case TextPart text:
                Write("message", text.Text, logProbs);
                break;
            case ReasoningPart thought:
                Write("reasoning", thought.Text, []);
                break;
            case ToolCallPart call:
                Close(Response.Completed);
                Call(call);
                break;
        }
    }

    /// <summary>Ends the answer; one without anything is an empty message.</summary>
    /// <param name="status">How it ended.</param>
    public void End(string status)
    {
        if (_open is null && _items.All(item => item.Type == "reasoning"))
        {
            Open("message");
        }

        Close(status);
    }

    private void Write(string type, string text, IReadOnlyList<TokenLogProb> logProbs)
    {
        if (_open?.Type != type)
        {
            Close(Response.Completed);
            Open(type);
        }

        _text.Append(text);
        _logProbs.AddRange(logProbs);
        tell(new ResponseEvent(IsThought ? "response.reasoning_text.delta" : "response.output_text.delta")
        {
            ItemId = _open!.Id,
            OutputIndex = Index,
            ContentIndex = 0,
            Delta = text,
            Logprobs = IsThought ? null : logProbs,
        });
    }

    private void Open(string type)
    {
        _open = type == "message"
            ? new OutputItem(AnswerHead.NewId("msg_"), type, Response.InProgress) { Role = "assistant", Content = [] }
            : new OutputItem(AnswerHead.NewId("rs_"), type, Response.InProgress) { Summary = [], Content = [] };
        tell(new ResponseEvent("response.output_item.added") { OutputIndex = Index, Item = _open });
        tell(new ResponseEvent("response.content_part.added") { OutputIndex = Index, ContentIndex = 0, ItemId = _open.Id, Part = Content("", []) });
    }

    private void Close(string status)
    {
        if (_open is null)
        {
            return;
        }

        var (text, content) = (_text.ToString(), Content(_text.ToString(), [.. _logProbs]));
        tell(new ResponseEvent(IsThought ? "response.reasoning_text.done" : "response.output_text.done")
        {
            ItemId = _open.Id,
            OutputIndex = Index,
            ContentIndex = 0,
            Text = text,
            Logprobs = content.Logprobs,
        });
        tell(new ResponseEvent("response.content_part.done") { OutputIndex = Index, ContentIndex = 0, ItemId = _open.Id, Part = content });
        var item = _open with { Status = status, Content = [content] };
        tell(new ResponseEvent("response.output_item.done") { OutputIndex = Index, Item = item });
        _items.Add(item);
        _open = null;
        _text.Clear();
        _logProbs.Clear();
    }

    private void Call(ToolCallPart part)
    {
        var item = new OutputItem(AnswerHead.NewId("fc_"), "function_call", part.Fault is null ? Response.Completed : Response.Incomplete)
        {
            CallId = part.Call.Id ?? $"call_{_calls}",
            Name = part.Call.Name,
            Arguments = ChatText.ArgumentsOf(part),
        };
        _calls++;
        tell(new ResponseEvent("response.output_item.added") { OutputIndex = Index, Item = item with { Status = Response.InProgress, Arguments = "" } });
        tell(new ResponseEvent("response.function_call_arguments.delta") { OutputIndex = Index, ItemId = item.Id, Delta = item.Arguments });
        tell(new ResponseEvent("response.function_call_arguments.done") { OutputIndex = Index, ItemId = item.Id, Name = item.Name, Arguments = item.Arguments });
        tell(new ResponseEvent("response.output_item.done") { OutputIndex = Index, Item = item });
        _items.Add(item);
    }

    private OutputContent Content(string text, IReadOnlyList<TokenLogProb> logProbs)
        => IsThought ? new OutputContent("reasoning_text", text) : new OutputContent("output_text", text) { Annotations = [], Logprobs = logProbs };
}
