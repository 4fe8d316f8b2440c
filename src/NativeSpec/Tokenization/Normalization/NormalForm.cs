using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Normalization;

/// <summary>Unicode's normal forms (Unicode Standard Annex 15). The runtime makes them with ICU, which this library does without: there it
/// leaves texts as they are. Time and memory are linear in the text, but for the sorting of long runs of marks.</summary>
internal static class NormalForm
{
    private const int HangulFirst = 0xAC00, HangulCount = 11172, LeadFirst = 0x1100, VowelFirst = 0x1161, TailFirst = 0x11A7;
    private const int VowelCount = 21, TailCount = 28, LeadCount = 19;

    private static readonly Lazy<Tables> Data = new(Tables.Read);

    /// <summary>NFC (composed) or NFD; with <paramref name="compatible"/>, NFKC or NFKD.</summary>
    public static string Apply(string text, bool compose, bool compatible)
    {
        // Below these, every character is its own composed form.
        if (compose && text.AsSpan().IndexOfAnyExceptInRange('\0', compatible ? '\u009F' : '\u02FF') < 0)
        {
            return text;
        }

        var tables = Data.Value;
        var decomposed = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, compatible, tables, decomposed);
        }

        SortMarks(decomposed, tables);
        if (compose)
        {
            Compose(decomposed, tables);
        }

        var result = new StringBuilder(decomposed.Count);
        Span<char> units = stackalloc char[2];
        foreach (var codePoint in decomposed)
        {
            result.Append(units[..new Rune(codePoint).EncodeToUtf16(units)]);
        }

        return result.ToString();
    }

    private static void Decompose(int codePoint, bool compatible, Tables tables, List<int> result)
    {
        if (codePoint is >= HangulFirst and < HangulFirst + HangulCount)
        {
            var index = codePoint - HangulFirst;
            result.Add(LeadFirst + (index / (VowelCount * TailCount)));
            result.Add(VowelFirst + (index % (VowelCount * TailCount) / TailCount));
            if (index % TailCount > 0)
            {
                result.Add(TailFirst + (index % TailCount));
            }
        }
        else if (codePoint >= 0xA0
            && (tables.Canonical.TryGetValue(codePoint, out var parts) || (compatible && tables.Compatible.TryGetValue(codePoint, out parts))))
        {
            foreach (var part in parts)
            {
                Decompose(part, compatible, tables, result);
            }
        }
        else
        {
            result.Add(codePoint);
        }
    }

    // Within each run of marks, those of a lower class first, and otherwise as they stood.
    private static void SortMarks(List<int> text, Tables tables)
    {
        for (var start = 0; start < text.Count; start++)
        {
            var end = start;
            var isSorted = true;
            for (var before = 0; end < text.Count && tables.Class(text[end]) is > 0 and var own; end++, before = own)
            {
                isSorted &= own >= before;
            }

            if (!isSorted)
            {
                var marks = text.GetRange(start, end - start).OrderBy(tables.Class).ToArray(); // a stable sort
                for (var i = 0; i < marks.Length; i++)
                {
                    text[start + i] = marks[i];
                }
            }

            start = Math.Max(start, end - 1);
        }
    }

    // A mark joins the last starter unless a mark between them is of the same or a higher class.
    private static void Compose(List<int> text, Tables tables)
    {
        var (kept, starter, lastClass) = (0, -1, 0);
        for (var i = 0; i < text.Count; i++)
        {
            var codePoint = text[i];
            var own = tables.Class(codePoint);
            var isNext = starter == kept - 1;
            if (starter >= 0 && (isNext || lastClass < own) && Pair(text[starter], codePoint, tables) is >= 0 and var composed)
            {
                text[starter] = composed;
                continue;
            }

            if (own == 0)
            {
                starter = kept;
            }

            lastClass = own;
            text[kept++] = codePoint;
        }

        text.RemoveRange(kept, text.Count - kept);
    }

    private static int Pair(int first, int second, Tables tables)
    {
        if (first is >= LeadFirst and < LeadFirst + LeadCount && second is >= VowelFirst and < VowelFirst + VowelCount)
        {
            return HangulFirst + ((((first - LeadFirst) * VowelCount) + second - VowelFirst) * TailCount);
        }

        var isOpenSyllable = first is >= HangulFirst and < HangulFirst + HangulCount && (first - HangulFirst) % TailCount == 0;
        if (isOpenSyllable && second is > TailFirst and < TailFirst + TailCount)
        {
            return first + second - TailFirst;
        }

        return tables.Composed.GetValueOrDefault((first, second), -1);
    }

    private sealed class Tables
    {
        private readonly Dictionary<int, int> _classes = [];

        public Dictionary<int, int[]> Canonical { get; } = [];

        public Dictionary<int, int[]> Compatible { get; } = [];

        public Dictionary<(int, int), int> Composed { get; } = [];

        public int Class(int codePoint) => codePoint < 0x300 ? 0 : _classes.GetValueOrDefault(codePoint);

        public static Tables Read()
        {
            var tables = new Tables();
            using var reader = new StreamReader(typeof(NormalForm).Assembly.GetManifestResourceStream("NormalForms.txt")!);
            while (reader.ReadLine() is { } line)
            {
                tables.Add(line.Split(' '));
            }

            return tables;
        }

        private void Add(string[] words)
        {
            switch (words[0])
            {
                case "C" or "X":
                    int[] parts = [.. words.Skip(2).Select(Hex)];
                    Canonical.Add(Hex(words[1]), parts);
                    if (words[0] == "C")
                    {
                        Composed.Add((parts[0], parts[1]), Hex(words[1]));
                    }

                    break;
                case "K":
                    Compatible.Add(Hex(words[1]), [.. words.Skip(2).Select(Hex)]);
                    break;
                case "M":
                    foreach (var ends in words.Skip(2).Select(range => range.Split('-')))
                    {
                        for (var c = Hex(ends[0]); c <= Hex(ends[^1]); c++)
                        {
                            _classes.Add(c, int.Parse(words[1], CultureInfo.InvariantCulture));
                        }
                    }

                    break;
                default:
                    break; // a comment
            }
        }

        private static int Hex(string text) => int.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }
}
