using System.Buffers;
using System.Text;

namespace NativeSpec.MLTokenizers;

/// <summary>Encodes text in which nothing may be a control token with a tokenizer that looks for them everywhere: the text is cut within each, after its first
/// character, so that the tokenizer never sees one whole. Text without any is encoded in one go.</summary>
internal sealed class ControlTextCutter
{
    private readonly SearchValues<string> _control;
    private readonly Func<string, IReadOnlyList<int>> _encode;

    /// <summary>Makes the cutter.</summary>
    /// <exception cref="ArgumentException">A control token is a single character, which cannot be cut.</exception>
    public ControlTextCutter(string[] control, Func<string, IReadOnlyList<int>> encode)
    {
        (_control, _encode) = (SearchValues.Create(control, StringComparison.Ordinal), encode);
        if (Array.Find(control, text => FirstRune(text) == text.Length) is { } single)
        {
            throw new ArgumentException($"the control token '{single}' is a single character: text of others cannot be kept apart from it");
        }
    }

    /// <summary>The ids of the text.</summary>
    public IReadOnlyList<int> Encode(string text)
    {
        var found = text.AsSpan().IndexOfAny(_control);
        if (found < 0)
        {
            return _encode(text);
        }

        var ids = new List<int>();
        var done = 0;
        while (found >= 0)
        {
            var cut = done + found + FirstRune(text.AsSpan(done + found));
            ids.AddRange(_encode(text[done..cut]));
            done = cut;
            found = text.AsSpan(done).IndexOfAny(_control);
        }

        if (done < text.Length)
        {
            ids.AddRange(_encode(text[done..]));
        }

        return ids;
    }

    private static int FirstRune(ReadOnlySpan<char> text)
    {
        Rune.DecodeFromUtf16(text, out _, out var length);
        return length;
    }
}
