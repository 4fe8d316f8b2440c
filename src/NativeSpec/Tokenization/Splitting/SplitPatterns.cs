using NativeSpec.Tokenization.Patterns;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>The split patterns of known models, recognised by their exact text: each is a scanner written by hand, several times as fast as
/// <see cref="LinearPattern"/>, which runs all others.</summary>
internal static class SplitPatterns
{
    /// <summary>GPT-2's pattern, also what <c>ByteLevel</c> with <c>use_regex</c> means.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Llama 3's pattern.</summary>
    public const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)" + Llama3Rest;

    /// <summary>o200k's pattern, of GPT-4o and gpt-oss.</summary>
    public const string O200k =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string Llama3Rest = @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2Rest = @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string MarksRest =
        @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string SpelledOutCases = @"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

    private static readonly Dictionary<string, Scanner> Known = new(StringComparer.Ordinal)
    {
        [Gpt2] = new Gpt2Splitter(),
        [@"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"] = new Gpt2Splitter(),
        [@"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"] = new Gpt2Splitter(),
        [Llama3] = new Llama3Splitter(maxDigits: 3),
        [SpelledOutCases + Llama3Rest] = new Llama3Splitter(maxDigits: 3, foldLongS: false),
        [@"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"] =
            new Llama3Splitter(maxDigits: 3),
        [@"(?i:'s|'t|'re|'ve|'m|'ll|'d)" + Qwen2Rest] = new Llama3Splitter(maxDigits: 1),
        [SpelledOutCases + Qwen2Rest] = new Llama3Splitter(maxDigits: 1, foldLongS: false),
        [@"(?i:'s|'t|'re|'ve|'m|'ll|'d)" + MarksRest] = new Llama3Splitter(maxDigits: 1, withMarks: true),
    };

    /// <summary>What cuts at the matches of a pattern.</summary>
    /// <exception cref="PatternException">The pattern is not supported.</exception>
    public static Splitter Make(string pattern, PatternDialect dialect) =>
        (Splitter?)Find(pattern) ?? new MatchSplitter(new LinearPattern(pattern, dialect), MatchBehavior.Isolated);

    /// <summary>The scanner of a pattern, or null where the pattern is not known.</summary>
    public static Scanner? Find(string pattern) => Known.GetValueOrDefault(pattern);
}

/// <summary>GPT-2's pattern, alternative by alternative.</summary>
internal sealed class Gpt2Splitter : Scanner
{
    /// <inheritdoc/>
    public override int End(ReadOnlySpan<char> text, int start)
    {
        // 's|'t|'re|'ve|'m|'ll|'d
        if (text[start] == '\'' && Contractions.Length(text[(start + 1)..], ignoreCase: false, foldLongS: false) is > 0 and var suffix)
        {
            return start + 1 + suffix;
        }

        // " ?" before a run of letters, of numbers, or of what is neither nor white space.
        var first = text[start] == ' ' && start + 1 < text.Length ? start + 1 : start;
        var kind = CharClasses.At(text, first, out _);
        if ((kind & CharClasses.Space) != 0)
        {
            return WhiteSpace.End(text, start);
        }

        return (kind & CharClasses.Letter) != 0 ? CharClasses.RunEnd(text, first, CharClasses.Letter)
            : (kind & CharClasses.Number) != 0 ? CharClasses.RunEnd(text, first, CharClasses.Number)
            : CharClasses.RunEndWithout(text, first, CharClasses.Space | CharClasses.Letter | CharClasses.Number);
    }
}

/// <summary>Llama 3's pattern and its kin, alternative by alternative: they differ in how many digits go together and in whether
/// combining marks count as letters.</summary>
internal sealed class Llama3Splitter(int maxDigits, bool withMarks = false, bool foldLongS = true) : Scanner
{
    private readonly byte _letter = withMarks ? (byte)(CharClasses.Letter | CharClasses.Mark) : CharClasses.Letter;

    /// <inheritdoc/>
    public override int End(ReadOnlySpan<char> text, int start)
    {
        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if (text[start] == '\'' && Contractions.Length(text[(start + 1)..], ignoreCase: true, foldLongS) is > 0 and var suffix)
        {
            return start + 1 + suffix;
        }

        // [^\r\n\p{L}\p{N}]?\p{L}+
        var kind = CharClasses.At(text, start, out var length);
        if ((kind & _letter) != 0)
        {
            return CharClasses.RunEnd(text, start, _letter);
        }

        var next = start + length;
        var mayLead = (kind & CharClasses.Number) == 0 && text[start] is not ('\r' or '\n');
        if (mayLead && next < text.Length && (CharClasses.At(text, next, out _) & _letter) != 0)
        {
            return CharClasses.RunEnd(text, next, _letter);
        }

        // \p{N}{1,3}
        if ((kind & CharClasses.Number) != 0)
        {
            var end = next;
            for (var digits = 1; digits < maxDigits && end < text.Length; digits++, end += length)
            {
                if ((CharClasses.At(text, end, out length) & CharClasses.Number) == 0)
                {
                    break;
                }
            }

            return end;
        }

        // " ?[^\s\p{L}\p{N}]+[\r\n]*"
        var none = (byte)(CharClasses.Space | CharClasses.Number | _letter);
        var first = text[start] == ' ' ? start + 1 : start;
        var marksEnd = CharClasses.RunEndWithout(text, first, none);
        if (marksEnd > first)
        {
            while (marksEnd < text.Length && text[marksEnd] is '\r' or '\n')
            {
                marksEnd++;
            }

            return marksEnd;
        }

        // \s*[\r\n]+ ends after the last line break of the white space: \s* takes all of it and gives back as little as it can.
        var spaceEnd = CharClasses.RunEnd(text, start, CharClasses.Space);
        var lineBreak = text[start..spaceEnd].LastIndexOfAny('\r', '\n');
        return lineBreak >= 0 ? start + lineBreak + 1 : WhiteSpace.End(text, start);
    }
}

/// <summary>The alternative <c>\s+(?!\S)|\s+</c>.</summary>
internal static class WhiteSpace
{
    /// <summary>All of the white space at the end of a text; before a word, all but its last character, but at least one.</summary>
    public static int End(ReadOnlySpan<char> text, int start)
    {
        var end = CharClasses.RunEnd(text, start, CharClasses.Space);
        return end < text.Length && end - start > 1 ? end - 1 : end;
    }
}

/// <summary>English contractions after an apostrophe: s, t, m, d, re, ve, ll.</summary>
internal static class Contractions
{
    /// <summary>The length of the contraction at the start of <paramref name="rest"/>, or 0. Where case is ignored as regular expressions
    /// do, U+017F (long s) folds to s.</summary>
    public static int Length(ReadOnlySpan<char> rest, bool ignoreCase, bool foldLongS)
    {
        var first = Letter(rest, 0, ignoreCase, foldLongS);
        var second = Letter(rest, 1, ignoreCase, foldLongS);
        return first is 's' or 't' or 'm' or 'd' ? 1 : (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 2 : 0;
    }

    private static char Letter(ReadOnlySpan<char> rest, int index, bool ignoreCase, bool foldLongS)
    {
        var c = index < rest.Length ? rest[index] : '\0';
        return !ignoreCase ? c : char.IsAsciiLetterUpper(c) ? (char)(c | 0x20) : c == '\u017F' && foldLongS ? 's' : c;
    }
}
