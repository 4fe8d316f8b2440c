using System.Text;

namespace NativeSpec.Chat.Templates;

/// <summary>Text that knows of every character whether the template wrote it or it came from a message, a tool or an argument. Whatever is
/// done with text keeps the marks of its characters, so that in the end only the template's own text can become a control token.</summary>
internal sealed class MarkedText
{
    /// <summary>No text.</summary>
    public static readonly MarkedText Empty = new("", []);

    private readonly Run[] _runs;
    private bool? _isPlain;

    private MarkedText(string text, Run[] runs) => (Text, _runs) = (text, runs);

    /// <summary>The characters.</summary>
    public string Text { get; }

    /// <summary>UTF-16 units.</summary>
    public int Length => Text.Length;

    /// <summary>Whether every UTF-16 unit is a character of its own, so that indices are indices.</summary>
    public bool IsPlain => _isPlain ??= !Text.AsSpan().ContainsAnyInRange('\ud800', '\udfff');

    /// <summary>Text of the template.</summary>
    public static MarkedText OfTemplate(string text) => text.Length == 0 ? Empty : new(text, [new Run(text.Length, true)]);

    /// <summary>Text that the template was given.</summary>
    public static MarkedText OfData(string text) => text.Length == 0 ? Empty : new(text, [new Run(text.Length, false)]);

    /// <summary>Whether the template wrote all of these characters.</summary>
    public bool IsOfTemplate(int start, int end)
    {
        var at = 0;
        foreach (var run in _runs)
        {
            if (!run.OfTemplate && at < end && run.End > start)
            {
                return false;
            }

            at = run.End;
        }

        return true;
    }

    /// <summary>The parts that the template wrote, in order.</summary>
    public IEnumerable<(int Start, int End)> PartsOfTemplate
    {
        get
        {
            var at = 0;
            foreach (var run in _runs)
            {
                if (run.OfTemplate)
                {
                    yield return (at, run.End);
                }

                at = run.End;
            }
        }
    }

    /// <summary>A part of the text.</summary>
    public MarkedText Slice(int start, int length)
    {
        if (length == Length)
        {
            return this;
        }

        var builder = new Builder(length);
        builder.Append(this, start, length);
        return builder.Build();
    }

    /// <summary>The text with every character replaced by one other, which keeps its mark.</summary>
    public MarkedText WithText(string text) => text.Length == Length
        ? new MarkedText(text, _runs)
        : throw new ArgumentException($"{text.Length} characters in the place of {Length}", nameof(text));

    /// <summary>Two texts, one behind the other.</summary>
    public static MarkedText Concat(MarkedText a, MarkedText b)
    {
        if (a.Length == 0 || b.Length == 0)
        {
            return a.Length == 0 ? b : a;
        }

        var builder = new Builder(a.Length + b.Length);
        builder.Append(a);
        builder.Append(b);
        return builder.Build();
    }

    public override string ToString() => Text;

    /// <summary>Characters up to <paramref name="End"/> that have the same origin.</summary>
    internal readonly record struct Run(int End, bool OfTemplate);

    /// <summary>Puts marked text together.</summary>
    internal sealed class Builder(int capacity = 0)
    {
        private readonly StringBuilder _text = new(capacity);
        private readonly List<Run> _runs = [];

        /// <summary>UTF-16 units so far.</summary>
        public int Length => _text.Length;

        public void Append(MarkedText text) => Append(text, 0, text.Length);

        public void Append(MarkedText text, int start, int length)
        {
            var (at, end) = (0, start + length);
            foreach (var run in text._runs)
            {
                var (from, to) = (Math.Max(at, start), Math.Min(run.End, end));
                if (from < to)
                {
                    Append(text.Text.AsSpan(from, to - from), run.OfTemplate);
                }

                at = run.End;
            }
        }

        public void Append(ReadOnlySpan<char> text, bool ofTemplate)
        {
            if (text.Length == 0)
            {
                return;
            }

            _text.Append(text);
            var run = new Run(_text.Length, ofTemplate);
            if (_runs.Count > 0 && _runs[^1].OfTemplate == ofTemplate)
            {
                _runs[^1] = run;
            }
            else
            {
                _runs.Add(run);
            }
        }

        public void Append(char character, bool ofTemplate) => Append([character], ofTemplate);

        public MarkedText Build() => _text.Length == 0 ? Empty : new MarkedText(_text.ToString(), [.. _runs]);
    }
}
