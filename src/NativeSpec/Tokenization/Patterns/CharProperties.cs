using System.Globalization;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>The properties that <c>\p{…}</c> and <c>[:…:]</c> name: general categories, scripts, and the names of POSIX.</summary>
internal static class CharProperties
{
    private static readonly Lazy<Dictionary<string, CharSet>> ByName = new(ReadFile);

    private static readonly Dictionary<string, string> Categories = new(StringComparer.Ordinal)
    {
        ["letter"] = "L",
        ["mark"] = "M",
        ["number"] = "N",
        ["punctuation"] = "P",
        ["symbol"] = "S",
        ["separator"] = "Z",
        ["other"] = "C",
        ["uppercaseletter"] = "Lu",
        ["lowercaseletter"] = "Ll",
        ["titlecaseletter"] = "Lt",
        ["modifierletter"] = "Lm",
        ["otherletter"] = "Lo",
        ["nonspacingmark"] = "Mn",
        ["spacingmark"] = "Mc",
        ["enclosingmark"] = "Me",
        ["decimalnumber"] = "Nd",
        ["letternumber"] = "Nl",
        ["othernumber"] = "No",
        ["control"] = "Cc",
        ["cntrl"] = "Cc",
        ["format"] = "Cf",
        ["digit"] = "Nd",
    };

    /// <summary>The scripts: name to code points.</summary>
    public static IEnumerable<KeyValuePair<string, CharSet>> Scripts => ByName.Value.Where(pair => !pair.Key.StartsWith('.'));

    /// <summary>The derived property Alphabetic: letters, numbers written as letters, and most marks that are vowels.</summary>
    public static CharSet Alphabetic => ByName.Value[".alphabetic"];

    /// <summary>The set of a property; null where it is not known. Case, spaces, <c>_</c> and <c>-</c> do not count.</summary>
    public static CharSet? Find(string name)
    {
        var key = Key(name);
        return key switch
        {
            "any" => CharSet.All,
            "ascii" => new CharSet.Ranges([(0, 0x7F)]),
            "space" or "whitespace" => CharSet.Space,
            "blank" => new CharSet.Union([CharSet.Of('\t'), CharSet.OfCategory("Zs")!]),
            "word" => CharSet.WordProperty,
            "alpha" or "alphabetic" => Alphabetic,
            "alnum" => new CharSet.Union([Alphabetic, CharSet.Digit]),
            "upper" or "uppercase" => ByName.Value[".uppercase"],
            "lower" or "lowercase" => ByName.Value[".lowercase"],
            "xdigit" => new CharSet.Ranges([('0', '9'), ('A', 'F'), ('a', 'f')]),
            "punct" => CharSet.OfCategory("P"),
            _ when Categories.TryGetValue(key, out var category) => CharSet.OfCategory(category),
            _ when key.Length is 1 or 2 => CharSet.OfCategory(char.ToUpperInvariant(key[0]) + key[1..]),
            _ => ByName.Value.GetValueOrDefault(key),
        };
    }

    /// <summary>The set of a POSIX bracket, <c>[:punct:]</c>; null where there is none of that name. There symbols are punctuation too.</summary>
    public static CharSet? FindPosix(string name) => name switch
    {
        "punct" => new CharSet.Union([CharSet.OfCategory("P")!, CharSet.OfCategory("S")!]),
        "alpha" or "alnum" or "upper" or "lower" or "digit" or "space" or "blank" or "cntrl" or "word" or "xdigit" or "ascii" => Find(name),
        _ => null,
    };

    private static string Key(string name) => string.Concat(name.Where(c => c is not ('_' or '-' or ' '))).ToLowerInvariant();

    // A line for each set: its name and its ranges in hexadecimal.
    private static Dictionary<string, CharSet> ReadFile()
    {
        var sets = new Dictionary<string, CharSet>(StringComparer.Ordinal);
        using var reader = new StreamReader(typeof(CharProperties).Assembly.GetManifestResourceStream("Properties.txt")!);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
            {
                continue;
            }

            var words = line.Split(' ');
            sets.Add(Key(words[0]), new CharSet.Ranges([.. words.Skip(1).Select(ReadRange)]));
        }

        return sets;
    }

    private static (int First, int Last) ReadRange(string text)
    {
        var ends = text.Split('-');
        return (Hex(ends[0]), Hex(ends[^1]));
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
