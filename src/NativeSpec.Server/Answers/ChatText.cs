using System.Text;
using System.Text.Json;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Answers;

/// <summary>One of a chat answer's texts while it is written: reads thoughts and calls of tools out of it.</summary>
/// <param name="form">How the model marks them.</param>
/// <param name="severalCalls">Whether calls after the first count.</param>
internal sealed class ChatText(ReplyForm form, bool severalCalls)
{
    private readonly ReplyReader _reader = new(form);
    private readonly StringBuilder _text = new(), _reasoning = new();
    private readonly List<ChatToolCallJson> _calls = [];

    /// <summary>The text for whoever asked; null where there are calls alone.</summary>
    public string? Text => _text.Length == 0 && _calls.Count > 0 ? null : _text.ToString();

    /// <summary>What the model thought; null where it did not.</summary>
    public string? Reasoning => _reasoning.Length == 0 ? null : _reasoning.ToString();

    /// <summary>The calls.</summary>
    public IReadOnlyList<ChatToolCallJson> Calls => _calls;

    /// <summary>The whole.</summary>
    public GenerationResult? Result { get; private set; }

    /// <summary>Takes a piece of the text and hands on what is certain of it.</summary>
    public IEnumerable<ReplyPart> Read(GenerationPiece piece)
    {
        Result = piece.Result ?? Result;
        var parts = _reader.Read(piece.Text);
        foreach (var part in piece.Result is null ? parts : parts.Concat(_reader.End()))
        {
            switch (part)
            {
                case TextPart text:
                    _text.Append(text.Text);
                    break;
                case ReasoningPart thought:
                    _reasoning.Append(thought.Text);
                    break;
                case ToolCallPart when _calls.Count > 0 && !severalCalls:
                    continue;
                case ToolCallPart call:
                    _calls.Add(ToJson(call, _calls.Count));
                    break;
            }

            yield return part;
        }
    }

    /// <summary>Why it ended, in OpenAI's words.</summary>
    /// <remarks>Where the tokens ended, the last call may be half of one: that comes first.</remarks>
    public string FinishReason => Result!.FinishReason == Engine.FinishReason.Stop && _calls.Count > 0 ? "tool_calls" : Words(Result);

    /// <summary>Tokens of the thought, with the markers around it.</summary>
    public int ReasoningTokens(Tokenizer tokenizer) => form.CountReasoning(Result!.Ids, tokenizer);

    /// <summary>Why a text ended, in OpenAI's words.</summary>
    public static string Words(GenerationResult result) => result.FinishReason == Engine.FinishReason.Stop ? "stop" : "length";

    /// <summary>The log-probabilities of a piece, without those of a token that ended the text and is no part of it.</summary>
    public static IReadOnlyList<TokenLogProbs> LogProbsOf(GenerationPiece piece)
        => piece is { LogProbs.Count: > 0, Result: { FinishReason: Engine.FinishReason.Stop, StopString: null } } ? [.. piece.LogProbs.SkipLast(1)] : piece.LogProbs;

    /// <summary>A call's arguments: JSON; or, where they could not be read, what was written in their place, which is none, so that nobody takes them for good ones.</summary>
    public static string ArgumentsOf(ToolCallPart part)
    {
        var arguments = part.Call.Arguments;
        if (part.Fault is null || arguments.ValueKind != JsonValueKind.String)
        {
            return arguments.GetRawText();
        }

        try
        {
            return arguments.GetString()!;
        }
        catch (InvalidOperationException)
        {
            return arguments.GetRawText(); // escapes that are no Unicode
        }
    }

    private static ChatToolCallJson ToJson(ToolCallPart part, int index)
        => new(index, part.Call.Id ?? $"call_{index}", "function", new ChatFunctionJson(part.Call.Name, ArgumentsOf(part)));
}
