using NativeSpec.Tokenization.Patterns;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>A stretch of a text.</summary>
internal readonly record struct Piece(int Start, int End);

/// <summary>Cuts a text into pieces.</summary>
internal abstract class Splitter
{
    /// <summary>Appends the pieces of the text, in order; they do not overlap, and none is empty.</summary>
    public abstract void Split(ReadOnlySpan<char> text, List<Piece> pieces);
}

/// <summary>Cuts a text into pieces that lie side by side and cover it.</summary>
internal abstract class Scanner : Splitter
{
    /// <summary>The end of the piece that begins at <paramref name="start"/>: after it, and at most the end of the text.</summary>
    public abstract int End(ReadOnlySpan<char> text, int start);

    /// <inheritdoc/>
    public sealed override void Split(ReadOnlySpan<char> text, List<Piece> pieces)
    {
        for (var start = 0; start < text.Length;)
        {
            var end = End(text, start);
            pieces.Add(new(start, end));
            start = end;
        }
    }
}

/// <summary>Cuts before every <c>▁</c> that follows another character. Used where no merge crosses that place: the tokens are the same
/// and the work stays within short pieces.</summary>
internal sealed class WordStartSplitter : Scanner
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

/// <summary>Cuts where the script changes (the <c>UnicodeScripts</c> pre-tokenizer). As there, spaces and unassigned characters are of any
/// script, kana count as Han, and what stands before the first character that has a script is lost.</summary>
internal sealed class ScriptSplitter : Splitter
{
    private static readonly Lazy<(int First, int Last, int Script)[]> Table = new(MakeTable);

    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, List<Piece> pieces)
    {
        var start = -1;
        var last = -1;
        var at = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (ScriptOf(rune.Value) is >= 0 and var script)
            {
                if (script != last)
                {
                    Add(start, at, pieces);
                    start = at;
                }

                last = script;
            }

            at += rune.Utf16SequenceLength;
        }

        Add(start, at, pieces);
    }

    private static void Add(int start, int end, List<Piece> pieces)
    {
        if (start >= 0 && end > start)
        {
            pieces.Add(new(start, end));
        }
    }

    private static int ScriptOf(int codePoint)
    {
        if (codePoint == ' ')
        {
            return -1;
        }

        var table = Table.Value;
        var (low, high) = (0, table.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (codePoint > table[middle].Last)
            {
                low = middle + 1;
            }
            else if (codePoint < table[middle].First)
            {
                high = middle - 1;
            }
            else
            {
                return table[middle].Script;
            }
        }

        return -1;
    }

    private static (int First, int Last, int Script)[] MakeTable()
    {
        var names = CharProperties.Scripts.Select(pair => pair.Key).ToList();
        var ranges = new List<(int First, int Last, int Script)>();
        foreach (var (name, set) in CharProperties.Scripts)
        {
            var script = names.IndexOf(name is "hiragana" or "katakana" ? "han" : name);
            ranges.AddRange(((CharSet.Ranges)set).Items.SelectMany(r => WithoutLongMark(r.First, r.Last).Select(part => (part.First, part.Last, script))));
        }

        const int LongMark = 0x30FC;
        ranges.Add((LongMark, LongMark, names.IndexOf("han")));
        return [.. ranges.OrderBy(r => r.First)];

        static (int First, int Last)[] WithoutLongMark(int first, int last) => first > LongMark || last < LongMark
            ? [(first, last)]
            : [.. new[] { (first, LongMark - 1), (LongMark + 1, last) }.Where(r => r.Item1 <= r.Item2)];
    }
}
