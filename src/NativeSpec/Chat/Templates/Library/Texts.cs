using System.Numerics;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates.Library;

/// <summary>What can be done with text, and with lists in the same way. Places are counted in code points, as in Python.</summary>
internal static class Texts
{
    /// <summary>The characters of a text, each a text.</summary>
    public static IEnumerable<Value> Characters(StringValue text)
    {
        var marked = text.Marked;
        for (var i = 0; i < marked.Length;)
        {
            var length = LengthAt(marked.Text, i);
            yield return new StringValue(marked.Slice(i, length));
            i += length;
        }
    }

    /// <summary>Whether a text holds another.</summary>
    public static bool Contains(Rendering rendering, string text, string part)
    {
        rendering.StepOver(text.Length);
        return text.Contains(part, StringComparison.Ordinal);
    }

    /// <summary>Number of code points, in steps of a rendering.</summary>
    public static int Count(Rendering rendering, string text)
    {
        rendering.StepOver(text.Length);
        return Count(text);
    }

    /// <summary>Number of code points.</summary>
    public static int Count(string text)
    {
        var count = text.Length;
        for (var i = 0; i + 1 < text.Length; i++)
        {
            if (char.IsSurrogatePair(text[i], text[i + 1]))
            {
                count--;
                i++;
            }
        }

        return count;
    }

    /// <summary>Number of runs of letters, digits and underscores.</summary>
    public static int CountWords(string text)
    {
        var count = 0;
        for (var i = 0; i < text.Length; i++)
        {
            count += IsInWord(i) && (i == 0 || !IsInWord(i - 1)) ? 1 : 0;
        }

        return count;

        bool IsInWord(int at) => text[at] == '_' || char.IsLetterOrDigit(text, at);
    }

    /// <summary>The place of an index, where a negative one counts from the end; null where there is none.</summary>
    public static int? Place(int count, Value index)
    {
        var place = ValueEquality.Whole(index);
        place += place < 0 ? count : 0;
        return place >= 0 && place < count ? (int)place : null;
    }

    /// <summary>A character; null where there is none.</summary>
    public static Value? CharacterAt(StringValue text, Value index)
    {
        var marked = text.Marked;
        if (marked.IsPlain)
        {
            return Place(marked.Length, index) is { } place ? new StringValue(marked.Slice(place, 1)) : null;
        }

        return Place(Count(marked.Text), index) is { } character ? Characters(text).ElementAt(character) : null;
    }

    /// <summary>x[from:to:step]</summary>
    public static Value Slice(Rendering rendering, Value of, Value? from, Value? to, Value? step)
    {
        var by = step is null or NoneValue ? 1 : RequireWhole(rendering, step);
        if (by == 0)
        {
            throw rendering.Error("the step of a slice is 0");
        }

        if (of is StringValue { Marked.IsPlain: true } plain && by == 1)
        {
            var (first, last) = Bounds(rendering, plain.Marked.Length, from, to, 1);
            rendering.Charge(Math.Max(last - first, 0));
            return new StringValue(plain.Marked.Slice(first, Math.Max(last - first, 0)), plain.IsMarkup);
        }

        var items = of is StringValue or ListValue ? rendering.Items(of) : throw rendering.Error(of is UndefinedValue undefined ? undefined.Hint : $"a value of type {of.TypeName} has no slices");
        var (start, end) = Bounds(rendering, items.Length, from, to, by);
        List<Value> taken = [];
        for (BigInteger i = start; by > 0 ? i < end : i > end; i += by)
        {
            taken.Add(items[(int)i]);
        }

        rendering.Charge(Rendering.ElementRoom * (long)taken.Count);
        return of is ListValue list
            ? new ListValue([.. taken], list.Kind == ListKind.Tuple ? ListKind.Tuple : ListKind.List)
            : new StringValue(Join(MarkedText.Empty, taken.Select(character => ((StringValue)character).Marked)), ((StringValue)of).IsMarkup);
    }

    /// <summary>Two texts, one behind the other; where one is markup the other is escaped.</summary>
    public static StringValue Add(Rendering rendering, StringValue a, StringValue b)
    {
        var isMarkup = a.IsMarkup || b.IsMarkup;
        var (left, right) = (isMarkup && !a.IsMarkup ? Escape(rendering, a.Marked) : a.Marked, isMarkup && !b.IsMarkup ? Escape(rendering, b.Marked) : b.Marked);
        rendering.Charge((long)left.Length + right.Length);
        return new StringValue(MarkedText.Concat(left, right), isMarkup);
    }

    /// <summary>A text or a list several times.</summary>
    public static Value Repeat(Rendering rendering, Value value, BigInteger times)
    {
        times = BigInteger.Max(times, 0);
        var length = value is StringValue text ? text.Marked.Length : ((ListValue)value).Items.Length;
        if (times * Math.Max(length, 1) > int.MaxValue / 2)
        {
            throw rendering.OverLimit("more text than such a conversation can need");
        }

        var count = length == 0 ? 0 : (int)times;
        rendering.Charge((value is StringValue ? 1 : Rendering.ElementRoom) * (long)count * length);
        return value is StringValue one
            ? new StringValue(Join(MarkedText.Empty, Enumerable.Repeat(one.Marked, count)), one.IsMarkup)
            : new ListValue([.. Enumerable.Repeat(((ListValue)value).Items, count).SelectMany(items => items)], ((ListValue)value).Kind);
    }

    public static MarkedText Join(MarkedText between, IEnumerable<MarkedText> parts)
    {
        var joined = new MarkedText.Builder();
        var isFirst = true;
        foreach (var part in parts)
        {
            if (!isFirst)
            {
                joined.Append(between);
            }

            joined.Append(part);
            isFirst = false;
        }

        return joined.Build();
    }

    /// <summary>A text without the white space, or the given characters, at its ends.</summary>
    public static MarkedText Strip(MarkedText text, string? characters, bool left = true, bool right = true)
    {
        var (start, end) = (0, text.Length);
        while (left && start < end && IsStripped(text.Text[start], characters))
        {
            start++;
        }

        while (right && end > start && IsStripped(text.Text[end - 1], characters))
        {
            end--;
        }

        return text.Slice(start, end - start);
    }

    /// <summary>A text with a part replaced, at most so often; all of them where the count is negative.</summary>
    public static MarkedText Replace(Rendering rendering, MarkedText text, MarkedText old, MarkedText by, BigInteger count)
    {
        var replaced = new MarkedText.Builder(text.Length);
        rendering.Charge(text.Length);
        for (var at = 0; ; count--)
        {
            var found = count.IsZero ? -1 : old.Length == 0 ? at : text.Text.IndexOf(old.Text, at, StringComparison.Ordinal);
            if (found < 0 || found > text.Length)
            {
                replaced.Append(text, Math.Min(at, text.Length), Math.Max(text.Length - at, 0));
                return replaced.Build();
            }

            rendering.Step();
            rendering.Charge(by.Length);
            replaced.Append(text, at, found - at);
            replaced.Append(by);
            at = found + old.Length;
            if (old.Length == 0)
            {
                var length = at < text.Length ? LengthAt(text.Text, at) : 0;
                replaced.Append(text, at, length);
                at += Math.Max(length, 1);
            }
        }
    }

    /// <summary>The parts of a text between separators, or between white space where there is none.</summary>
    /// <param name="rendering">Whose text it is.</param>
    /// <param name="text">The text.</param>
    /// <param name="separator">What separates; null for white space.</param>
    /// <param name="most">Most cuts; negative for all.</param>
    /// <param name="fromRight">Whether the cuts are made from the end on.</param>
    public static List<MarkedText> Split(Rendering rendering, MarkedText text, string? separator, BigInteger most, bool fromRight)
    {
        if (separator is { Length: 0 })
        {
            throw rendering.Error("the separator is empty");
        }

        List<(int Start, int Length)> cuts = []; // the separators
        for (var at = 0; at < text.Length;)
        {
            var (start, length) = NextSeparator(text.Text, at, separator);
            if (start < 0)
            {
                break;
            }

            rendering.Charge(2 * Rendering.ElementRoom);
            cuts.Add((start, length));
            at = start + length;
        }

        if (separator is null)
        {
            return SplitByWhiteSpace(text, cuts, most, fromRight);
        }

        var taken = most < 0 || most >= cuts.Count ? cuts : fromRight ? cuts[^(int)most..] : cuts[..(int)most];
        List<MarkedText> parts = [];
        var from = 0;
        foreach (var (start, length) in taken)
        {
            parts.Add(text.Slice(from, start - from));
            from = start + length;
        }

        parts.Add(text.Slice(from, text.Length - from));
        return parts;
    }

    /// <summary>Text for HTML.</summary>
    public static MarkedText Escape(Rendering rendering, MarkedText text)
    {
        foreach (var (character, escaped) in new[] { ("&", "&amp;"), (">", "&gt;"), ("<", "&lt;"), ("'", "&#39;"), ("\"", "&#34;") })
        {
            text = Replace(rendering, text, MarkedText.OfTemplate(character), MarkedText.OfTemplate(escaped), -1);
        }

        return text;
    }

    /// <summary>A text with each character replaced by one other.</summary>
    public static MarkedText Map(Rendering rendering, MarkedText text, Func<string, string> map)
    {
        rendering.Charge(text.Length);
        var mapped = map(text.Text);
        return mapped.Length == text.Length ? text.WithText(mapped) : throw new InvalidOperationException("the case of a character has another length");
    }

    /// <summary>Every word begins with a capital; words are what <paramref name="isInside"/> says.</summary>
    public static string Title(string text, Func<string, int, bool> isInside) => string.Create(text.Length, (text, isInside), static (span, state) =>
    {
        for (var i = 0; i < span.Length; i++)
        {
            span[i] = state.isInside(state.text, i) ? char.ToLowerInvariant(state.text[i]) : char.ToUpperInvariant(state.text[i]);
        }
    });

    public static BigInteger RequireWhole(Rendering rendering, Value value) => value is IntValue or BoolValue
        ? ValueEquality.Whole(value)
        : throw rendering.Error($"a whole number is expected, and not a value of type {value.TypeName}");

    private static (int Start, int End) Bounds(Rendering rendering, int count, Value? from, Value? to, BigInteger step)
    {
        var (low, high) = step > 0 ? (0, count) : (-1, count - 1);
        return (Bound(from, step > 0 ? low : high), Bound(to, step > 0 ? high : low));

        int Bound(Value? value, int otherwise)
        {
            if (value is null or NoneValue)
            {
                return otherwise;
            }

            var bound = RequireWhole(rendering, value);
            bound += bound < 0 ? count : 0;
            return (int)BigInteger.Clamp(bound, low, high);
        }
    }

    private static bool IsStripped(char c, string? characters) => characters is null ? TemplateLexer.IsSpace(c) : characters.Contains(c);

    private static (int Start, int Length) NextSeparator(string text, int at, string? separator)
    {
        if (separator is not null)
        {
            return (text.IndexOf(separator, at, StringComparison.Ordinal), separator.Length);
        }

        while (at < text.Length && !TemplateLexer.IsSpace(text[at]))
        {
            at++;
        }

        var end = at;
        while (end < text.Length && TemplateLexer.IsSpace(text[end]))
        {
            end++;
        }

        return at == text.Length ? (-1, 0) : (at, end - at);
    }

    /// <summary>White space at the ends separates nothing; what follows the last cut keeps that inside and at its far end.</summary>
    private static List<MarkedText> SplitByWhiteSpace(MarkedText text, List<(int Start, int Length)> gaps, BigInteger most, bool fromRight)
    {
        List<(int Start, int End)> words = [];
        var from = 0;
        foreach (var (start, length) in gaps.Append((text.Length, 0)))
        {
            if (start > from)
            {
                words.Add((from, start));
            }

            from = start + length;
        }

        if (most >= 0 && most < words.Count)
        {
            var cuts = (int)most;
            if (fromRight)
            {
                words = [(0, words[^(cuts + 1)].End), .. words[^cuts..]];
            }
            else
            {
                words = [.. words[..cuts], (words[cuts].Start, text.Length)];
            }
        }

        return [.. words.Select(word => text.Slice(word.Start, word.End - word.Start))];
    }

    private static int LengthAt(string text, int at) => at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1;
}
