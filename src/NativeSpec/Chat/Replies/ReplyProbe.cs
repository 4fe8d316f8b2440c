using System.Buffers;
using System.Text.Json;
using NativeSpec.Chat.Templates;
using NativeSpec.Tokenization;

namespace NativeSpec.Chat.Replies;

/// <summary>Finds out how a model marks the parts of its answers: renders conversations with words that are known, and looks what the template wrote
/// around them.</summary>
internal sealed class ReplyProbe
{
    private const string Question = "Question-1", Answer = "Answer-1", Thought = "Thought-1", Tool = "probe_tool";
    private const string PythonTag = "<|python_tag|>";

    private static readonly SearchValues<char> NotInTags = SearchValues.Create(" \t\r\n\"'");

    private static readonly ReplyMarkers Think = new("<think>", "</think>"), Hermes = new("<tool_call>", "</tool_call>");

    /// <summary>A tool that nobody has.</summary>
    internal static readonly JsonElement ProbeTool = Json(
        """{"type": "function", "function": {"name": "probe_tool", "description": "probes", "parameters": {"type": "object", "properties": {"word": {"type": "string", "description": "a word"}}, "required": ["word"]}}}""");

    private static readonly ChatToolCall ProbeCall = new(Tool, Json("""{"word": "Word-1"}"""), "abcdefgh1");

    private readonly ChatTemplates _templates;
    private readonly ChatFormat _format;
    private readonly RenderedChat? _opening;

    private ReplyProbe(ChatTemplates templates, ChatFormat format)
    {
        _templates = templates;
        _format = format with { Tools = format.Tools.Count > 0 ? [ProbeTool] : [] };
        _opening = Render([new ChatTurn("user", Question)], addGenerationPrompt: true);
    }

    /// <summary>How answers are written to conversations of a format. The tools' names are not in it.</summary>
    public static ReplyForm Find(ChatTemplates templates, ChatFormat format, Tokenizer? tokenizer)
    {
        var probe = new ReplyProbe(templates, format);
        var reasoning = probe.FindReasoning();
        var calls = format.Tools.Count == 0 ? [] : probe.FindCalls();
        if (calls.Length == 0 && format.Tools.Count > 0 && tokenizer is not null && ControlToken(tokenizer, PythonTag) is not null)
        {
            calls = [new ReplyMarkers(PythonTag, null)];
        }

        return new ReplyForm
        {
            Reasoning = reasoning,
            BeginsInReasoning = reasoning is not null && probe._opening is { } opening && EndsWith(opening, reasoning.Start),
            CallMarkers = calls,
            ShowsTools = format.Tools.Count > 0 && probe._opening?.Text.Contains(Tool, StringComparison.Ordinal) == true,
            MarkerIds = tokenizer is null ? [] : [.. calls.Append(reasoning).SelectMany(markers => new[] { markers?.Start, markers?.End }).Select(text => ControlToken(tokenizer, text)).OfType<int>().Distinct()],
        };
    }

    /// <summary>How a template wants calls of tools to be given to it: the first way in which it writes the call. Some fail without a text beside the calls,
    /// and some take the arguments as text alone.</summary>
    public static CallTurnStyle FindStyle(ChatTemplates templates, ChatFormat format)
    {
        var probe = new ReplyProbe(templates, format);
        return CallTurnStyle.All.FirstOrDefault(style => probe.RenderCall(style) is not null);
    }

    private ReplyMarkers? FindReasoning()
    {
        if (Render([new ChatTurn("user", Question), new ChatTurn("assistant", Answer) { Reasoning = Thought }]) is { } rendered
            && rendered.Text.IndexOf(Thought, StringComparison.Ordinal) is >= 0 and var at
            && TagBefore(rendered, 0, at) is { } start
            && rendered.Text.AsSpan(at + Thought.Length).TrimStart().StartsWith(ClosingOf(start), StringComparison.Ordinal))
        {
            return new ReplyMarkers(start, ClosingOf(start));
        }

        return _templates.Mentions(_format, Think.End!) ? Think : null; // it cuts thoughts out of earlier answers, or opens one
    }

    private ReplyMarkers[] FindCalls()
    {
        if (CallTurnStyle.All.Select(RenderCall).FirstOrDefault(rendered => rendered is not null) is not { } rendered)
        {
            return _templates.Mentions(_format, Hermes.Start) ? [Hermes] : []; // it tells the model how, and does not write any itself
        }

        var text = rendered.Text;
        var from = _opening is null ? 0 : text.AsSpan().CommonPrefixLength(_opening.Text);
        var name = text.IndexOf(Tool, from, StringComparison.Ordinal);
        for (var at = from; at < name; at++)
        {
            if (text[at] is '{' or '[' && JsonExtent.Of(text.AsSpan(at)) is > 0 and var length
                && ToolCallText.Read(text.Substring(at, length)) is [{ Fault: null, Call.Name: Tool }])
            {
                var start = TagBefore(rendered, from, at);
                var end = start is null || !text.AsSpan(at + length).TrimStart().StartsWith(ClosingOf(start), StringComparison.Ordinal) ? null : ClosingOf(start);
                return start is null ? [] : [new ReplyMarkers(start, end)];
            }
        }

        return []; // no JSON: a form that is not read
    }

    // Null where the template refuses the turn or leaves out the call.
    private RenderedChat? RenderCall(CallTurnStyle style)
    {
        var rendered = Render([new ChatTurn("user", Question), new ChatTurn("assistant", null) { ToolCalls = [ProbeCall] }], style: style);
        var at = rendered?.Text.IndexOf(Question, StringComparison.Ordinal) ?? -1;
        return at >= 0 && rendered!.Text.IndexOf(Tool, at, StringComparison.Ordinal) >= 0 ? rendered : null;
    }

    private RenderedChat? Render(ChatTurn[] turns, bool addGenerationPrompt = false, CallTurnStyle style = default)
    {
        try
        {
            return _templates.RenderIn(style, turns, _format with { AddGenerationPrompt = addGenerationPrompt }, CancellationToken.None);
        }
        catch (ChatTemplateException)
        {
            return null; // it has no such conversations
        }
    }

    /// <summary>The tag that the template wrote right before a place, white space aside: <c>&lt;tool_call&gt;</c>, <c>[TOOL_CALLS]</c>.</summary>
    private static string? TagBefore(RenderedChat rendered, int from, int at)
    {
        var before = rendered.Text.AsSpan(from..at).TrimEnd();
        var start = before.Length == 0 ? -1 : before[^1] == '>' ? before.LastIndexOf('<') : before[^1] == ']' ? before.LastIndexOf('[') : -1;
        if (start < 0)
        {
            return null;
        }

        var tag = before[start..];
        var isTag = tag.Length > 2 && tag[1] != '/' && !tag.ContainsAny(NotInTags) && rendered.IsOfTemplate(from + start, from + before.Length);
        return isTag ? tag.ToString() : null;
    }

    private static string ClosingOf(string tag) => string.Concat(tag.AsSpan(0, 1), "/", tag.AsSpan(1));

    private static bool EndsWith(RenderedChat rendered, string tag)
    {
        var text = rendered.Text.AsSpan().TrimEnd();
        return text.EndsWith(tag, StringComparison.Ordinal) && rendered.IsOfTemplate(text.Length - tag.Length, text.Length);
    }

    private static int? ControlToken(Tokenizer tokenizer, string? text)
        => text is not null && tokenizer.Encode(text, addSpecial: false, parseSpecial: true) is [var id] && tokenizer.IsSpecial(id) ? id : null;

    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
