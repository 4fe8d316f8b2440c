using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>What is done to a text before it is cut into pieces: a list of steps, each from string to string.</summary>
internal sealed class Normalizer
{
    /// <summary>Longest string that a step may put in: a longer one would let a small file blow a text up.</summary>
    public const int MaxContentLength = 64;

    /// <summary>Most steps.</summary>
    public const int MaxSteps = 16;

    private readonly Func<string, string>[] _steps;
    private readonly int _maxLength;

    /// <summary>Makes a normalizer of its steps.</summary>
    public Normalizer(IEnumerable<Func<string, string>> steps, LoadLimits limits)
    {
        _steps = [.. steps];
        _maxLength = limits.MaxTextLength;
    }

    /// <summary>The normalized text.</summary>
    /// <exception cref="ArgumentException">The text grows beyond twice the longest text allowed.</exception>
    public string Apply(string text)
    {
        foreach (var step in _steps)
        {
            text = step(text);
            if (text.Length > 2L * _maxLength)
            {
                throw new ArgumentException($"the normalizer makes the text {text.Length} characters long: the most is {2L * _maxLength}");
            }
        }

        return text;
    }

    /// <summary>Puts a string before every text that is not empty.</summary>
    public static Func<string, string> Prepend(string prefix) => text => text.Length == 0 ? text : prefix + text;

    /// <summary>Replaces every occurrence of a string; a result longer than any array is refused before it is made.</summary>
    public static Func<string, string> Replace(string pattern, string content) => text =>
    {
        if (content.Length > pattern.Length)
        {
            var length = text.Length + ((long)text.AsSpan().Count(pattern) * (content.Length - pattern.Length));
            if (length > Array.MaxLength / sizeof(char))
            {
                throw new ArgumentException($"the normalizer makes the text {length} characters long");
            }
        }

        return text.Replace(pattern, content, StringComparison.Ordinal);
    };

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
}
