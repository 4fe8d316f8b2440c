using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>Finds what a <see cref="MatchSplitter"/> cuts at.</summary>
internal interface IMatcher
{
    /// <summary>Appends the matches in a text, in order; they do not overlap. Empty ones are allowed.</summary>
    void Find(ReadOnlySpan<char> text, List<Piece> matches);
}

/// <summary>What becomes of a match.</summary>
internal enum MatchBehavior
{
    /// <summary>A piece of its own.</summary>
    Isolated,

    /// <summary>Left out.</summary>
    Removed,

    /// <summary>Neighbouring matches are one piece.</summary>
    Contiguous,

    /// <summary>The end of the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>The beginning of the piece after it.</summary>
    MergedWithNext,
}

/// <summary>Cuts at matches (the <c>Split</c>, <c>Punctuation</c>, <c>Digits</c>, <c>Whitespace</c> and <c>Metaspace</c> pre-tokenizers).</summary>
/// <param name="matcher">What finds the matches.</param>
/// <param name="behavior">What becomes of a match.</param>
/// <param name="invert">Whether what lies between the matches counts as the matches.</param>
internal sealed class MatchSplitter(IMatcher matcher, MatchBehavior behavior, bool invert = false) : Splitter
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, List<Piece> pieces)
    {
        var matches = new List<Piece>();
        matcher.Find(text, matches);
        var parts = Parts(text.Length, matches);
        switch (behavior)
        {
            case MatchBehavior.Isolated:
                AddAll(parts, pieces);
                break;
            case MatchBehavior.Removed:
                AddAll(parts.Where(p => !p.IsMatch), pieces);
                break;
            case MatchBehavior.Contiguous:
                AddAll(Join(parts, (part, before) => part.IsMatch == before), pieces);
                break;
            case MatchBehavior.MergedWithPrevious:
                AddAll(Join(parts, (part, before) => part.IsMatch && !before), pieces);
                break;
            default:
                parts.Reverse();
                var joined = Join(parts, (part, before) => part.IsMatch && !before);
                joined.Reverse();
                AddAll(joined, pieces);
                break;
        }
    }

    // The text, part by part: matches and what lies between them.
    private List<(int Start, int End, bool IsMatch)> Parts(int length, List<Piece> matches)
    {
        var parts = new List<(int, int, bool)>((2 * matches.Count) + 1);
        var done = 0;
        foreach (var match in matches)
        {
            if (match.Start > done)
            {
                parts.Add((done, match.Start, invert));
            }

            parts.Add((match.Start, match.End, !invert));
            done = match.End;
        }

        if (done < length)
        {
            parts.Add((done, length, invert));
        }

        return parts;
    }

    // Joins a part to the one before it by a rule that is told what that one was; before the first there is no match.
    private static List<(int Start, int End, bool IsMatch)> Join(
        List<(int Start, int End, bool IsMatch)> parts, Func<(int Start, int End, bool IsMatch), bool, bool> joins)
    {
        var joined = new List<(int Start, int End, bool IsMatch)>(parts.Count);
        var before = false;
        foreach (var part in parts)
        {
            if (joins(part, before) && joined.Count > 0)
            {
                var last = joined[^1];
                joined[^1] = (Math.Min(last.Start, part.Start), Math.Max(last.End, part.End), last.IsMatch);
            }
            else
            {
                joined.Add(part);
            }

            before = part.IsMatch;
        }

        return joined;
    }

    private static void AddAll(IEnumerable<(int Start, int End, bool IsMatch)> parts, List<Piece> pieces)
    {
        foreach (var (start, end, _) in parts)
        {
            if (end > start)
            {
                pieces.Add(new(start, end));
            }
        }
    }
}

/// <summary>Finds a fixed string.</summary>
internal sealed class LiteralMatcher(string literal) : IMatcher
{
    /// <inheritdoc/>
    public void Find(ReadOnlySpan<char> text, List<Piece> matches)
    {
        for (var at = 0; text[at..].IndexOf(literal, StringComparison.Ordinal) is >= 0 and var found;)
        {
            matches.Add(new(at + found, at + found + literal.Length));
            at += found + literal.Length;
        }
    }
}

/// <summary>Finds single code points of a kind.</summary>
internal sealed class RuneMatcher(Func<Rune, bool> isMatch) : IMatcher
{
    /// <summary>Digits and other numbers.</summary>
    public static RuneMatcher Numbers { get; } = new(Rune.IsNumber);

    /// <summary>White space.</summary>
    public static RuneMatcher WhiteSpace { get; } = new(Rune.IsWhiteSpace);

    /// <summary>Unicode's punctuation, and the symbols of ASCII.</summary>
    public static RuneMatcher Punctuation { get; } = new(rune =>
        rune.IsAscii ? rune.Value is (>= 0x21 and <= 0x2F) or (>= 0x3A and <= 0x40) or (>= 0x5B and <= 0x60) or (>= 0x7B and <= 0x7E)
            : Rune.GetUnicodeCategory(rune) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation);

    /// <inheritdoc/>
    public void Find(ReadOnlySpan<char> text, List<Piece> matches)
    {
        var at = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (isMatch(rune))
            {
                matches.Add(new(at, at + rune.Utf16SequenceLength));
            }

            at += rune.Utf16SequenceLength;
        }
    }
}

/// <summary>Finds words and runs of what is neither a word nor white space (<c>\w+|[^\w\s]+</c>, the <c>Whitespace</c> pre-tokenizer).</summary>
internal sealed class WordMatcher : IMatcher
{
    /// <summary>The one instance.</summary>
    public static WordMatcher Instance { get; } = new();

    /// <inheritdoc/>
    public void Find(ReadOnlySpan<char> text, List<Piece> matches)
    {
        for (var start = 0; start < text.Length;)
        {
            var kind = CharClasses.At(text, start, out var length);
            var end = (kind & CharClasses.Space) != 0 ? start + length
                : (kind & CharClasses.Word) != 0 ? CharClasses.RunEnd(text, start, CharClasses.Word)
                : CharClasses.RunEndWithout(text, start, CharClasses.Word | CharClasses.Space);
            if ((kind & CharClasses.Space) == 0)
            {
                matches.Add(new(start, end));
            }

            start = end;
        }
    }
}
