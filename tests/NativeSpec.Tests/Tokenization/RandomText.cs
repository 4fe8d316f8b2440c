using System.Text;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Random texts of characters that tokenizers treat each in a way of its own.</summary>
internal static class RandomText
{
    private static readonly string[] Parts =
    [
        "a", "he", "ll", "hello", "l", "B", "é", "ß", "я", "中", "の", " ", " ", "  ", "\t", "\n", "\r", "\r\n", "\u00A0", "\u3000", "\u0085",
        "1", "22", "333", "٣", "Ⅷ", "½", "'", "'s", "'S", "'ll", "'Re", "!", "?!", "_", "-", "/", "\u0301", "\u200D", "<", ">", "\0", "\uFFFD",
    ];

    private static readonly string[] Wide = ["😀", "🦙", "\U0001D400", "\U0001F468\u200D\U0001F469"];

    /// <summary>A text of up to <paramref name="maxParts"/> parts; with <paramref name="wide"/>, also beyond the Basic Multilingual
    /// Plane.</summary>
    public static string Next(Random random, int maxParts, bool wide = true)
    {
        var text = new StringBuilder();
        for (var count = random.Next(maxParts + 1); count > 0; count--)
        {
            text.Append(wide && random.Next(8) == 0 ? Wide[random.Next(Wide.Length)] : Parts[random.Next(Parts.Length)]);
        }

        return text.ToString();
    }
}
