namespace NativeSpec.Tokenization.Splitting;

/// <summary>When <see cref="Metaspace"/> puts its mark before a text.</summary>
internal enum PrependScheme
{
    /// <summary>Before every stretch of text.</summary>
    Always,

    /// <summary>Only before the very start of the text.</summary>
    First,

    /// <summary>Nowhere.</summary>
    Never,
}

/// <summary>The <c>Metaspace</c> convention of sentencepiece: spaces are written as U+2581.</summary>
internal static class Metaspace
{
    /// <summary>The mark of a space: <c>▁</c>.</summary>
    public const char Mark = '\u2581';

    /// <summary>The text with its spaces marked and, by the scheme, a mark in front where there is none.</summary>
    public static Func<string, bool, string> Transform(char mark, PrependScheme scheme) => (text, isStart) =>
    {
        var marked = text.Replace(' ', mark);
        var wantsMark = scheme == PrependScheme.Always || (scheme == PrependScheme.First && isStart);
        return wantsMark && !marked.StartsWith(mark) ? mark + marked : marked;
    };

    /// <summary>The text with a space in front unless one is there (<c>ByteLevel</c> with <c>add_prefix_space</c>).</summary>
    public static string PrefixSpace(string text, bool isStart) => text.StartsWith(' ') ? text : ' ' + text;
}

/// <summary>A step on the way from a stretch of text to the pieces that are encoded one by one: a rewriting or a cut.</summary>
/// <param name="Rewrite">What becomes of the text, given whether it is the start of the whole; or null.</param>
/// <param name="Split">How the text is cut; or null.</param>
internal sealed record PreTokenizerStep(Func<string, bool, string>? Rewrite, Splitter? Split);

/// <summary>Cuts a stretch of text into the pieces that are encoded one by one.</summary>
/// <param name="steps">The steps, each within the pieces of the one before.</param>
internal sealed class PreTokenizer(PreTokenizerStep[] steps)
{
    /// <summary>Most steps, one within the other.</summary>
    public const int MaxSteps = 24;

    /// <summary>Appends the ids of a stretch of text; it is one piece where it is not to be cut.</summary>
    public void Encode(ReadOnlySpan<char> text, bool isStart, PieceEncoder encoder, List<int> ids, bool cut = true) => Run(text, isStart, 0, encoder, ids, cut);

    private void Run(ReadOnlySpan<char> text, bool isStart, int step, PieceEncoder encoder, List<int> ids, bool cut)
    {
        if (step == steps.Length)
        {
            encoder.Encode(text, ids);
            return;
        }

        var (rewrite, splitter) = steps[step];
        if (rewrite is not null)
        {
            text = rewrite(text.ToString(), isStart);
        }

        if (splitter is null || !cut)
        {
            Run(text, isStart, step + 1, encoder, ids, cut);
            return;
        }

        var pieces = new List<Piece>();
        splitter.Split(text, pieces);
        foreach (var (start, end) in pieces)
        {
            Run(text[start..end], isStart && start == 0, step + 1, encoder, ids, cut);
        }
    }
}
