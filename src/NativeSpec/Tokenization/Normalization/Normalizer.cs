using System.Globalization;
using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Normalization;

/// <summary>A step of a <see cref="Normalizer"/>.</summary>
/// <param name="Apply">What becomes of a text.</param>
/// <param name="AtStartOnly">Whether it is done only to what begins the whole text, and not to what follows an added token.</param>
internal sealed record NormalizerStep(Func<string, string> Apply, bool AtStartOnly = false);

/// <summary>What is done to a text before it is cut into pieces: a list of steps, each from string to string.</summary>
internal sealed class Normalizer
{
    /// <summary>Longest string that a step may put in: a longer one would let a small file blow a text up.</summary>
    public const int MaxContentLength = 64;

    /// <summary>Most steps.</summary>
    public const int MaxSteps = 16;

    private readonly NormalizerStep[] _steps;
    private readonly int _maxLength;

    /// <summary>Makes a normalizer of its steps.</summary>
    public Normalizer(IEnumerable<NormalizerStep> steps, LoadLimits limits)
    {
        _steps = [.. steps];
        _maxLength = limits.MaxTextLength;
    }

    /// <summary>The normalized text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="isStart">Whether it begins the whole text.</param>
    /// <exception cref="ArgumentException">The text grows beyond twice the longest text allowed.</exception>
    public string Apply(string text, bool isStart)
    {
        foreach (var step in _steps)
        {
            text = step.AtStartOnly && !isStart ? text : step.Apply(text);
            if (text.Length > 2L * _maxLength)
            {
                throw new ArgumentException($"the normalizer makes the text {text.Length} characters long: the most is {2L * _maxLength}");
            }
        }

        return text;
    }

    /// <summary>Puts a string before every text that is not empty.</summary>
    public static Func<string, string> Prepend(string prefix) => text => text.Length == 0 ? text : prefix + text;

    /// <summary>Sentencepiece's <c>remove_extra_whitespaces</c>: no space at either end, no two spaces together.</summary>
    public static string CollapseSpaces(string text)
    {
        var kept = new StringBuilder(text.Length);
        foreach (var c in text.AsSpan().Trim(' '))
        {
            if (c != ' ' || kept[^1] != ' ')
            {
                kept.Append(c);
            }
        }

        return kept.ToString();
    }

    /// <summary>Replaces every match; a result longer than any array is refused before it is made.</summary>
    public static Func<string, string> Replace(IMatcher pattern, string content) => text =>
    {
        var matches = new List<Piece>();
        pattern.Find(text, matches);
        if (matches.Count == 0)
        {
            return text;
        }

        var length = text.Length + ((long)matches.Count * content.Length);
        if (length > Array.MaxLength / sizeof(char))
        {
            throw new ArgumentException($"the normalizer makes the text up to {length} characters long");
        }

        var result = new StringBuilder(text.Length);
        var done = 0;
        foreach (var (start, end) in matches)
        {
            result.Append(text, done, start - done).Append(content);
            done = end;
        }

        return result.Append(text, done, text.Length - done).ToString();
    };

    /// <summary>Takes white space from either end or both.</summary>
    public static Func<string, string> Strip(bool left, bool right) => text => (left, right) switch
    {
        (true, true) => text.Trim(),
        (true, false) => text.TrimStart(),
        (false, true) => text.TrimEnd(),
        _ => text,
    };

    /// <summary>Every letter in lower case, without regard to its neighbours: a capital sigma is always σ, and İ becomes an i and a dot.</summary>
    public static string Lowercase(string text)
    {
        var lower = text.ToLowerInvariant();
        return text.Contains('\u0130') ? Merge(text, lower) : lower;

        static string Merge(string text, string lower)
        {
            var result = new StringBuilder(lower.Length);
            for (var i = 0; i < lower.Length; i++)
            {
                result.Append(text[i] == '\u0130' ? "i\u0307" : lower[i].ToString());
            }

            return result.ToString();
        }
    }

    /// <summary>The text without its combining marks.</summary>
    public static string StripAccents(string text) => string.Concat(text.EnumerateRunes().Where(rune =>
        Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark)));

    /// <summary>The text's bytes, written in the letters of byte-level BPE.</summary>
    public static string ByteLetters(string text) => string.Concat(Encoding.UTF8.GetBytes(text).Select(ByteAlphabet.Letter));
}
