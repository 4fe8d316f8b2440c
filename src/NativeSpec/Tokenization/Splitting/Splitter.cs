namespace NativeSpec.Tokenization.Splitting;

/// <summary>Cuts a text into pieces that lie side by side and cover it.</summary>
internal abstract class Splitter
{
    /// <summary>The end of the piece that begins at <paramref name="start"/>: after it, and at most the end of the text.</summary>
    public abstract int End(ReadOnlySpan<char> text, int start);
}

/// <summary>Cuts digits from the rest: each by itself, or runs of them (the <c>Digits</c> pre-tokenizer).</summary>
internal sealed class DigitSplitter(bool individual) : Splitter
{
    /// <inheritdoc/>
    public override int End(ReadOnlySpan<char> text, int start)
    {
        if ((CharClasses.At(text, start, out var length) & CharClasses.Number) == 0)
        {
            return CharClasses.RunEndWithout(text, start, CharClasses.Number);
        }

        return individual ? start + length : CharClasses.RunEnd(text, start, CharClasses.Number);
    }
}

/// <summary>What becomes of the delimiter of a <see cref="LiteralSplitter"/>.</summary>
internal enum DelimiterBehavior
{
    /// <summary>A piece of its own.</summary>
    Isolated,

    /// <summary>Neighbouring delimiters are one piece.</summary>
    Contiguous,

    /// <summary>The end of the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>The beginning of the piece after it.</summary>
    MergedWithNext,
}

/// <summary>Cuts at a fixed string (the <c>Split</c> pre-tokenizer with a string, and <c>Metaspace</c>).</summary>
internal sealed class LiteralSplitter(string delimiter, DelimiterBehavior behavior) : Splitter
{
    /// <inheritdoc/>
    public override int End(ReadOnlySpan<char> text, int start)
    {
        var rest = text[start..];
        var isAtDelimiter = rest.StartsWith(delimiter, StringComparison.Ordinal);
        var found = rest[(isAtDelimiter ? delimiter.Length : 0)..].IndexOf(delimiter, StringComparison.Ordinal);
        switch (behavior)
        {
            case DelimiterBehavior.MergedWithPrevious:
                return isAtDelimiter ? start + delimiter.Length : found < 0 ? text.Length : start + found + delimiter.Length;
            case DelimiterBehavior.MergedWithNext:
                return found < 0 ? text.Length : start + found + (isAtDelimiter ? delimiter.Length : 0);
            default:
                if (!isAtDelimiter)
                {
                    return found < 0 ? text.Length : start + found;
                }

                var end = start + delimiter.Length;
                while (behavior == DelimiterBehavior.Contiguous && text[end..].StartsWith(delimiter, StringComparison.Ordinal))
                {
                    end += delimiter.Length;
                }

                return end;
        }
    }
}

/// <summary>Cuts before every <c>▁</c> that follows another character. Used where no merge crosses that place: the tokens are the same
/// and the work stays within short pieces.</summary>
internal sealed class WordStartSplitter : Splitter
{
    /// <inheritdoc/>
    public override int End(ReadOnlySpan<char> text, int start)
    {
        var rest = text[start..];
        var word = rest.IndexOfAnyExcept(Metaspace.Mark);
        if (word < 0)
        {
            return text.Length;
        }

        var next = rest[word..].IndexOf(Metaspace.Mark);
        return next < 0 ? text.Length : start + word + next;
    }
}
