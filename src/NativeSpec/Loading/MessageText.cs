using System.Text;

namespace NativeSpec.Loading;

/// <summary>Text of a file inside an error message: short, on one line, and without control characters, because names and values
/// are chosen by whoever made the file and messages end up in terminals and logs.</summary>
internal static class MessageText
{
    private const int MaxLength = 80;

    /// <summary>The text in single quotes, cut at 80 characters, control and non-ASCII format characters escaped.</summary>
    public static string Quote(string text) => $"'{Plain(text)}'";

    /// <summary>UTF-8 (possibly broken) as <see cref="Plain(string)"/>.</summary>
    public static string Plain(ReadOnlySpan<byte> utf8) =>
        Plain(Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, 4 * MaxLength)]));

    /// <summary>The text cut at 80 characters, control characters and lone surrogates escaped.</summary>
    public static string Plain(string text)
    {
        var plain = new StringBuilder();
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, MaxLength)))
        {
            var harmless = !char.IsControl(c) && !char.IsSurrogate(c) && char.GetUnicodeCategory(c) != System.Globalization.UnicodeCategory.Format;
            plain.Append(harmless ? c.ToString() : $"\\u{(int)c:x4}");
        }

        return text.Length > MaxLength ? plain.Append('…').ToString() : plain.ToString();
    }
}
