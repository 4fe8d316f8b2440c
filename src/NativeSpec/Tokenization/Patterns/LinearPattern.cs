using System.Collections.Concurrent;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>Finds all matches of a regular expression in time linear in the text, whatever the pattern: the matches that a backtracking
/// engine finds, by code points. Safe for use by several threads at once.</summary>
/// <remarks>Two passes (Frisch and Cardelli, "Greedy regular expression matching", 2004). The first reads the text from its end and notes for
/// each place from which states the rest can be matched; look-aheads are answered on the way, as they are about the rest too. The second
/// reads from the start and takes at each fork the preferred way among those that lead to a match, so it never has to come back. An engine
/// that is linear for one match only would not do: <c>a.*b|a</c> in a text of a's reads all of the rest for each of its matches.</remarks>
internal sealed class LinearPattern : IMatcher
{
    private readonly PatternProgram _program;
    private readonly ConcurrentBag<LiveStates> _spare = [];

    /// <summary>Makes the matcher of a pattern.</summary>
    /// <exception cref="PatternException">The pattern is not supported.</exception>
    public LinearPattern(string pattern, PatternDialect dialect = PatternDialect.Oniguruma) =>
        _program = new(PatternParser.Parse(pattern, dialect));

    /// <inheritdoc/>
    public void Find(ReadOnlySpan<char> text, List<Piece> matches)
    {
        if (!_spare.TryTake(out var live))
        {
            live = new(_program);
        }

        live.Begin(text);
        var last = -1;
        for (var at = 0; at <= text.Length;)
        {
            var start = FindStart(text, at, live);
            if (start < 0)
            {
                break;
            }

            var end = FindEnd(text, start, live);
            if (end == start && end == last)
            {
                at = start + (start < text.Length ? Length(text, start) : 1); // no empty match right after another
                continue;
            }

            matches.Add(new(start, end));
            last = at = end;
        }

        _spare.Add(live);
    }

    private int FindStart(ReadOnlySpan<char> text, int at, LiveStates live)
    {
        while (!live.At(text, at).IsLive(_program.Start))
        {
            if (at == text.Length)
            {
                return -1;
            }

            at += Length(text, at);
        }

        return at;
    }

    private int FindEnd(ReadOnlySpan<char> text, int at, LiveStates live)
    {
        for (var state = _program.Start; ; at += Length(text, at))
        {
            var take = live.At(text, at).Follow(state, live);
            if (take < 0)
            {
                return at;
            }

            state = _program.States[take].Next;
        }
    }

    private static int Length(ReadOnlySpan<char> text, int at) =>
        char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;
}
