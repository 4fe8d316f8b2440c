using NativeSpec.Tokenization.Bpe;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>When <see cref="Metaspace"/> puts its mark before a text.</summary>
internal enum PrependScheme
{
    /// <summary>Before every stretch of text between added tokens.</summary>
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

/// <summary>Cuts a stretch of text into the pieces that are encoded one by one.</summary>
/// <param name="transform">What is first done to the text, given whether it is the start of the whole; or null.</param>
/// <param name="splitters">The cuts, each within the pieces of the one before.</param>
internal sealed class PreTokenizer(Func<string, bool, string>? transform, Splitter[] splitters)
{
    /// <summary>Most cuts, one within the other.</summary>
    public const int MaxSplitters = 16;

    /// <summary>Appends the ids of a stretch of text.</summary>
    public void Encode(string text, bool isStart, BpeModel model, BpeMerger merger, List<int> ids) =>
        Cut(transform is null ? text : transform(text, isStart), 0, model, merger, ids);

    private void Cut(ReadOnlySpan<char> text, int stage, BpeModel model, BpeMerger merger, List<int> ids)
    {
        if (stage == splitters.Length)
        {
            model.Encode(text, merger, ids);
            return;
        }

        for (var start = 0; start < text.Length;)
        {
            var end = splitters[stage].End(text, start);
            Cut(text[start..end], stage + 1, model, merger, ids);
            start = end;
        }
    }
}
