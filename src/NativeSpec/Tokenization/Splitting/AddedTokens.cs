namespace NativeSpec.Tokenization.Splitting;

/// <summary>A token that is looked for in the text as it stands, before any merging (an entry of <c>added_tokens</c>, a control or
/// user-defined piece, or a special token of tiktoken ranks).</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="Special">A control token: found in a text only when the caller asks.</param>
/// <param name="Normalized">Whether it is looked for in the normalized text.</param>
/// <param name="LeftStrip">Whether it takes the white space before it.</param>
/// <param name="RightStrip">Whether it takes the white space after it.</param>
/// <param name="SingleWord">Whether it must not touch a word character.</param>
/// <param name="Control">Whether it steers the model: it is special, or the chat template writes it.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool Normalized = false, bool LeftStrip = false, bool RightStrip = false, bool SingleWord = false, bool Control = false);

/// <summary>Which added tokens are looked for in a text.</summary>
internal enum SoughtTokens
{
    /// <summary>Those that do not steer the model.</summary>
    Harmless,

    /// <summary>Those that are not special.</summary>
    Ordinary,

    /// <summary>All.</summary>
    All,
}

/// <summary>A part of a text: an added token, or (with <see cref="TokenId"/> -1) text between added tokens.</summary>
internal readonly record struct Segment(int Start, int End, int TokenId);

/// <summary>Cuts a text at the added tokens it holds, leftmost and longest first.</summary>
internal sealed class AddedTokenSplitter
{
    private readonly AddedToken[] _tokens;
    private readonly Lazy<PatternMatcher> _matcher;

    private AddedTokenSplitter(AddedToken[] tokens, Func<string, string> normalize)
    {
        _tokens = tokens;
        _matcher = new(() => new([.. tokens.Select(t => normalize(t.Content))]));
    }

    /// <summary>Makes the splitter of the tokens; null where there are none.</summary>
    public static AddedTokenSplitter? Create(IEnumerable<AddedToken> tokens, Func<string, string> normalize)
    {
        var all = tokens.ToArray();
        return all.Length == 0 ? null : new(all, normalize);
    }

    /// <summary>The parts of the text, in order. A token that is not sought is text as a whole: no other is found within it.</summary>
    public List<Segment> Split(ReadOnlySpan<char> text, SoughtTokens sought) => Cut(text, _matcher.Value.Find(text), sought);

    /// <summary>The parts of the text where tokens are looked for within some of its parts only, and none across the end of one.</summary>
    public List<Segment> Split(string text, IEnumerable<(int Start, int End)> within)
    {
        List<PatternMatcher.Match> matches = [];
        foreach (var (start, end) in within)
        {
            foreach (var match in _matcher.Value.Find(text.AsSpan(start, end - start)))
            {
                matches.Add(match with { Start = match.Start + start });
            }
        }

        return Cut(text, matches, SoughtTokens.All);
    }

    private static bool IsSought(AddedToken token, SoughtTokens sought) => sought switch
    {
        SoughtTokens.All => true,
        SoughtTokens.Ordinary => !token.Special,
        _ => !(token.Special || token.Control),
    };

    private List<Segment> Cut(ReadOnlySpan<char> text, IEnumerable<PatternMatcher.Match> matches, SoughtTokens sought)
    {
        var segments = new List<Segment>();
        var done = 0;
        foreach (var match in matches)
        {
            var token = _tokens[match.Pattern];
            if (!IsSought(token, sought) || (token.SingleWord && TouchesWord(text, match.Start, match.End)))
            {
                continue;
            }

            // White space that the token before took with it can be a token nevertheless, unless this one strips too: so does Hugging
            // Face's library.
            var start = match.Start;
            if (token.LeftStrip)
            {
                while (start > done && char.IsWhiteSpace(text[start - 1]))
                {
                    start--;
                }

                start = Math.Max(start, done);
            }

            var end = token.RightStrip ? CharClasses.RunEnd(text, match.End, CharClasses.Space) : match.End;
            if (start > done)
            {
                segments.Add(new(done, start, -1));
            }

            if (end > start)
            {
                segments.Add(new(start, end, token.Id));
            }

            done = end;
        }

        if (done < text.Length)
        {
            segments.Add(new(done, text.Length, -1));
        }

        return segments;
    }

    private static bool TouchesWord(ReadOnlySpan<char> text, int start, int end) =>
        (start > 0 && (CharClasses.Before(text, start) & CharClasses.Word) != 0)
        || (end < text.Length && (CharClasses.At(text, end, out _) & CharClasses.Word) != 0);
}
