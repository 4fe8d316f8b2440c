using System.Buffers;
using System.Text;
using NativeSpec.Tokenization;

namespace NativeSpec.Chat.Replies;

/// <summary>How a model marks thoughts and calls of tools in the text of its answers, as far as its chat template shows it:
/// <see cref="ChatTemplates.ReplyForm"/> renders conversations with known words and looks what stands around them.</summary>
/// <remarks>Calls are read that are JSON, an object with <c>name</c> and <c>arguments</c> or <c>parameters</c> or a list of these, behind one of <see cref="CallMarkers"/>
/// (Hermes and Qwen: <c>&lt;tool_call&gt;</c>; Mistral: <c>[TOOL_CALLS]</c>; Llama 3: <c>&lt;|python_tag|&gt;</c>), or bare where an answer begins (Llama 3, and models without a form of their own).
/// A bare one must name a tool of <see cref="ToolNames"/>.</remarks>
public sealed record ReplyForm
{
    /// <summary>Text alone.</summary>
    public static ReplyForm TextOnly { get; } = new();

    /// <summary>What stands around a thought, which an answer may begin with; null where there are none.</summary>
    public ReplyMarkers? Reasoning { get; init; }

    /// <summary>Whether the prompt has opened the thought already, so that the answer's first characters are in it.</summary>
    public bool BeginsInReasoning { get; init; }

    /// <summary>What stands around calls of tools, where that is anything.</summary>
    public IReadOnlyList<ReplyMarkers> CallMarkers { get; init; } = [];

    /// <summary>The tools that were offered. Without any, calls are not looked for.</summary>
    public IReadOnlySet<string> ToolNames { get; init; } = new HashSet<string>();

    /// <summary>Whether the template puts tools into the prompt: of others the model never hears.</summary>
    public bool ShowsTools { get; init; }

    /// <summary>The markers that are control tokens, whose text an answer has only where <see cref="Engine.GenerationOptions.ShownIds"/> says so.</summary>
    public IReadOnlyList<int> MarkerIds { get; init; } = [];

    /// <summary>How many tokens of an answer are its thought, with the markers around it.</summary>
    /// <param name="ids">The answer's tokens.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    public int CountReasoning(IReadOnlyList<int> ids, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Reasoning is not { Start: var start, End: { } end })
        {
            return 0;
        }

        // Token by token, because the last of a thought may be anywhere in a marker.
        var detokenizer = tokenizer.CreateDetokenizer(skipSpecial: false);
        var bytes = new ArrayBufferWriter<byte>();
        var text = new StringBuilder();
        var isOpen = BeginsInReasoning;
        for (var i = 0; i < ids.Count; i++)
        {
            bytes.ResetWrittenCount();
            if (ids[i] < tokenizer.VocabSize)
            {
                detokenizer.Append(ids[i], bytes);
            }

            text.Append(Encoding.UTF8.GetString(bytes.WrittenSpan));
            if (!isOpen)
            {
                var begun = text.ToString().TrimStart();
                isOpen = begun.StartsWith(start, StringComparison.Ordinal);
                if (!isOpen && !start.StartsWith(begun, StringComparison.Ordinal))
                {
                    return 0;
                }
            }

            if (isOpen && EndsIn(text, end, bytes.WrittenCount))
            {
                return i + 1;
            }
        }

        return isOpen ? ids.Count : 0;
    }

    // Whether the marker ends within the characters that came last.
    private static bool EndsIn(StringBuilder text, string marker, int last)
    {
        var from = Math.Max(0, text.Length - last - marker.Length);
        return text.ToString(from, text.Length - from).Contains(marker, StringComparison.Ordinal);
    }
}

/// <summary>What stands around a part of an answer.</summary>
/// <param name="Start">Before it.</param>
/// <param name="End">After it; null where nothing does.</param>
public sealed record ReplyMarkers(string Start, string? End);
