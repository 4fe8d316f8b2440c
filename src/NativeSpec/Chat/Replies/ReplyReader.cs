using System.Text;

namespace NativeSpec.Chat.Replies;

/// <summary>Reads the text of one answer as it is written and tells thoughts, calls of tools and text apart. It holds back no more than what may
/// be the beginning of a marker, white space before one, and calls until they are whole. However the text is cut, the parts are the same.</summary>
/// <remarks>A thought is looked for where the answer begins, calls anywhere behind it. White space between these is no text. What looks like a call and is
/// none stays text, with its markers. Not for use by several threads at once.</remarks>
/// <param name="form">How the model writes.</param>
public sealed class ReplyReader(ReplyForm form)
{
    private readonly ReplyForm _form = form ?? throw new ArgumentNullException(nameof(form));
    private readonly string[] _callStarts = form.ToolNames.Count == 0 ? [] : [.. form.CallMarkers.Select(markers => markers.Start)];
    private readonly StringBuilder _payload = new();
    private State _state = form.BeginsInReasoning && form.Reasoning is not null ? State.Thought : State.Start;
    private string _pending = "";
    private bool _mayThink = true;  // in Start: no part has been read yet
    private bool _skipsSpace = form.BeginsInReasoning; // white space that comes now is no text
    private bool _isAfterCall;
    private string? _closing;       // what may follow a call
    private JsonExtent _extent;
    private ReplyMarkers? _markers; // of the call that is being read; null for a bare one
    private ReplyMarkers? _marked;  // of the last call that had any: Hermes 2's template leaves out the later ones' start
    private string _opener = "";    // what stood before it and is text if it is none
    private bool _isCertain;        // a bare one's first member has been seen

    private enum State
    {
        Start,
        Thought,
        Text,
        Call,
    }

    private bool IsPlain => _form.Reasoning is null && _form.ToolNames.Count == 0;

    /// <summary>Takes the next characters.</summary>
    /// <param name="text">Any number of them.</param>
    /// <returns>The parts that are certain by now.</returns>
    public IReadOnlyList<ReplyPart> Read(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length == 0 || IsPlain)
        {
            return text.Length == 0 ? [] : [new TextPart(text)];
        }

        _pending += text;
        return Advance(isEnd: false);
    }

    /// <summary>Ends the answer.</summary>
    /// <returns>What was held back. A call that breaks off is one with a <see cref="ToolCallPart.Fault"/>, if its name is known.</returns>
    public IReadOnlyList<ReplyPart> End() => Advance(isEnd: true);

    private List<ReplyPart> Advance(bool isEnd)
    {
        List<ReplyPart> parts = [];
        while (_state switch
        {
            State.Start => ReadStart(isEnd, parts),
            State.Thought => ReadThought(isEnd, parts),
            State.Text => ReadText(isEnd, parts),
            _ => ReadCall(isEnd, parts),
        })
        {
            // one step after another, until more characters are needed
        }

        return parts;
    }

    // Where a thought or a call may begin.
    private bool ReadStart(bool isEnd, List<ReplyPart> parts)
    {
        var rest = _pending.TrimStart();
        if (_closing is { } closing && Sought(rest, closing, isEnd) is not false)
        {
            return Sought(rest, closing, isEnd) is true && Enter(State.Start, rest[closing.Length..], skipsSpace: true);
        }

        if (_mayThink && _form.Reasoning is { } reasoning && Sought(rest, reasoning.Start, isEnd) is not false)
        {
            return Sought(rest, reasoning.Start, isEnd) is true && Enter(State.Thought, rest[reasoning.Start.Length..], skipsSpace: true);
        }

        if (_callStarts.Any(marker => marker.Length > rest.Length && Sought(rest, marker, isEnd) is null))
        {
            return false;
        }

        var body = _isAfterCall ? rest.TrimStart(" \t\r\n;,".ToCharArray()) : rest;
        if (body.Length == 0 && !isEnd)
        {
            return false;
        }

        if (_form.ToolNames.Count > 0 && body.Length > 0 && body[0] is '{' or '[' && !_callStarts.Any(marker => body.StartsWith(marker, StringComparison.Ordinal)))
        {
            var before = _pending[..^body.Length];
            return BeginCall(markers: null, _skipsSpace ? before.TrimStart() : before, body);
        }

        return Enter(State.Text, _skipsSpace ? rest : _pending);
    }

    private bool ReadThought(bool isEnd, List<ReplyPart> parts)
    {
        var text = _skipsSpace ? _pending.TrimStart() : _pending;
        var end = _form.Reasoning!.End!;
        var at = text.IndexOf(end, StringComparison.Ordinal);
        var known = at >= 0 ? at : isEnd ? text.Length : text.Length - Held(text, [end]);
        var thought = text.AsSpan(0, known).TrimEnd();
        if (thought.Length > 0)
        {
            parts.Add(new ReasoningPart(thought.ToString()));
            _skipsSpace = false;
        }

        if (at >= 0)
        {
            _mayThink = false;
            return Enter(State.Start, text[(at + end.Length)..], skipsSpace: true);
        }

        _pending = isEnd ? "" : text[thought.Length..];
        return false;
    }

    private bool ReadText(bool isEnd, List<ReplyPart> parts)
    {
        var (at, which) = FirstCall(_pending);
        if (which >= 0)
        {
            var text = _pending.AsSpan(0, at).TrimEnd();
            AddText(parts, text);
            var behind = at + _callStarts[which].Length;
            return BeginCall(_form.CallMarkers[which], _pending[text.Length..behind], _pending[behind..]);
        }

        var known = _pending.Length;
        if (!isEnd && _callStarts.Length > 0)
        {
            known = _pending.AsSpan(0, known - Held(_pending, _callStarts)).TrimEnd().Length;
        }

        AddText(parts, _pending.AsSpan(0, known));
        _pending = _pending[known..];
        return false;
    }

    private bool ReadCall(bool isEnd, List<ReplyPart> parts)
    {
        for (var i = 0; i < _pending.Length; i++)
        {
            var next = _pending[i];
            if (_payload.Length == 0 && char.IsWhiteSpace(next))
            {
                _opener += next;
                continue;
            }

            if (_payload.Length == 0 && next is not ('{' or '['))
            {
                return NoCall(parts, i); // a marker that somebody speaks of
            }

            _payload.Append(next);
            if (_extent.Add(next))
            {
                return EndCall(parts, _payload.ToString(), _pending[(i + 1)..], (_markers ?? _marked)?.End);
            }

            if (_markers?.End is { } end && !_extent.IsInString && EndsWith(_payload, end))
            {
                return EndCall(parts, _payload.ToString(0, _payload.Length - end.Length), _pending[(i + 1)..], closing: null);
            }

            if (_markers is null && !_isCertain && ToolCallText.MayBegin(_payload.ToString()) is { } may)
            {
                _isCertain = may;
                if (!may)
                {
                    return NoCall(parts, i + 1);
                }
            }
        }

        _pending = "";
        if (!isEnd)
        {
            return false;
        }

        // It breaks off, perhaps within a string that was never closed.
        var payload = _payload.ToString();
        var cut = _markers?.End is { } marker ? payload.IndexOf(marker, StringComparison.Ordinal) : -1;
        if (cut < 0)
        {
            return EndCall(parts, payload, "", closing: null);
        }

        _payload.Length = cut + _markers!.End!.Length;
        return EndCall(parts, payload[..cut], payload[_payload.Length..], closing: null);
    }

    private bool BeginCall(ReplyMarkers? markers, string opener, string rest)
    {
        (_markers, _opener, _isCertain, _extent) = (markers, opener, false, new JsonExtent());
        _payload.Clear();
        return Enter(State.Call, rest);
    }

    private bool EndCall(List<ReplyPart> parts, string payload, string rest, string? closing)
    {
        var calls = ToolCallText.Read(payload);
        if (calls.Count == 0 || (_markers is null && !calls.All(call => call.Fault is null && _form.ToolNames.Contains(call.Call.Name))))
        {
            _pending = rest;
            return NoCall(parts, 0);
        }

        parts.AddRange(calls);
        (_isAfterCall, _mayThink, _marked) = (true, false, _markers ?? _marked);
        return Enter(State.Start, rest, skipsSpace: true, closing: closing);
    }

    // What looked like a call is text, and what follows is read as such.
    private bool NoCall(List<ReplyPart> parts, int read)
    {
        AddText(parts, _opener + _payload);
        return Enter(State.Text, _pending[read..]);
    }

    private bool Enter(State state, string rest, bool skipsSpace = false, string? closing = null)
    {
        (_state, _pending, _skipsSpace, _closing) = (state, rest, skipsSpace, closing);
        return true;
    }

    /// <summary>Whether a text begins with a marker; null where it may yet.</summary>
    private static bool? Sought(string text, string marker, bool isEnd)
        => text.StartsWith(marker, StringComparison.Ordinal) ? true : !isEnd && marker.StartsWith(text, StringComparison.Ordinal) ? null : false;

    private (int At, int Which) FirstCall(string text)
    {
        var first = (At: int.MaxValue, Which: -1);
        for (var i = 0; i < _callStarts.Length; i++)
        {
            var at = text.IndexOf(_callStarts[i], StringComparison.Ordinal);
            first = at >= 0 && at < first.At ? (at, i) : first;
        }

        return first;
    }

    /// <summary>The characters at the end of a text with which one of the markers may begin.</summary>
    private static int Held(string text, string[] markers)
    {
        for (var length = Math.Min(text.Length, markers.Max(marker => marker.Length - 1)); length > 0; length--)
        {
            var end = text.AsSpan(text.Length - length);
            foreach (var marker in markers)
            {
                if (marker.AsSpan().StartsWith(end, StringComparison.Ordinal))
                {
                    return length;
                }
            }
        }

        return 0;
    }

    private static bool EndsWith(StringBuilder text, string end)
    {
        if (text.Length < end.Length || text[^1] != end[^1])
        {
            return false;
        }

        return text.ToString(text.Length - end.Length, end.Length) == end;
    }

    private static void AddText(List<ReplyPart> parts, ReadOnlySpan<char> text)
    {
        if (text.Length > 0)
        {
            parts.Add(new TextPart(text.ToString()));
        }
    }
}
