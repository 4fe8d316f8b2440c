using System.Buffers;
using System.Runtime.InteropServices;

namespace NativeSpec.Tokenization.Splitting;

/// <summary>Finds fixed strings in a text, leftmost and then longest, in time linear in the text and the patterns.</summary>
/// <remarks>An Aho-Corasick automaton (Aho and Corasick, 1975) over the reversed patterns reads the text from right to left. Then the
/// longest pattern that the state ends with is the longest one that <i>starts</i> at this place, so one pass from left to right
/// over the finds takes the leftmost-longest matches without ever reading a character again.</remarks>
internal sealed class PatternMatcher
{
    private readonly Dictionary<long, int> _next = [];
    private readonly List<int> _fail = [0];
    private readonly List<int> _longest = [-1];
    private readonly int[] _lengths;
    private readonly SearchValues<char> _lastChars;

    /// <summary>Builds the automaton; empty patterns never match.</summary>
    public PatternMatcher(IReadOnlyList<string> patterns)
    {
        _lengths = [.. patterns.Select(p => p.Length)];
        _lastChars = SearchValues.Create(patterns.Where(p => p.Length > 0).Select(p => p[^1]).Distinct().ToArray());
        var nodes = new List<(int Parent, char Char, int Depth)> { (0, '\0', 0) };
        for (var pattern = 0; pattern < patterns.Count; pattern++)
        {
            AddReversed(patterns[pattern], pattern, nodes);
        }

        LinkFailures(nodes);
    }

    /// <summary>A match: where it starts and which pattern it is.</summary>
    public readonly record struct Match(int Start, int Pattern, int Length)
    {
        /// <summary>Where it ends.</summary>
        public int End => Start + Length;
    }

    /// <summary>The non-overlapping matches in text order.</summary>
    public List<Match> Find(ReadOnlySpan<char> text)
    {
        var starts = new List<Match>();
        var state = 0;
        for (var i = text.Length - 1; i >= 0; i--)
        {
            if (state == 0 && (i = text[..(i + 1)].LastIndexOfAny(_lastChars)) < 0)
            {
                break;
            }

            state = Step(state, text[i]);
            if (_longest[state] is >= 0 and var pattern)
            {
                starts.Add(new(i, pattern, _lengths[pattern]));
            }
        }

        starts.Reverse();
        var kept = 0;
        var end = 0;
        foreach (var match in CollectionsMarshal.AsSpan(starts))
        {
            if (match.Start >= end)
            {
                starts[kept++] = match;
                end = match.End;
            }
        }

        starts.RemoveRange(kept, starts.Count - kept);
        return starts;
    }

    private void AddReversed(string pattern, int index, List<(int Parent, char Char, int Depth)> nodes)
    {
        var node = 0;
        for (var i = pattern.Length - 1; i >= 0; i--)
        {
            ref var child = ref CollectionsMarshal.GetValueRefOrAddDefault(_next, Key(node, pattern[i]), out var exists);
            if (!exists)
            {
                child = nodes.Count;
                nodes.Add((node, pattern[i], nodes[node].Depth + 1));
                _fail.Add(0);
                _longest.Add(-1);
            }

            node = child;
        }

        if (node != 0)
        {
            _longest[node] = index;
        }
    }

    private void LinkFailures(List<(int Parent, char Char, int Depth)> nodes)
    {
        var byDepth = Enumerable.Range(1, nodes.Count - 1).ToArray();
        Array.Sort(byDepth, (a, b) => nodes[a].Depth.CompareTo(nodes[b].Depth));
        foreach (var node in byDepth)
        {
            var (parent, c, depth) = nodes[node];
            _fail[node] = depth == 1 ? 0 : Step(_fail[parent], c);
            if (_longest[node] < 0)
            {
                _longest[node] = _longest[_fail[node]];
            }
        }
    }

    private int Step(int state, char c)
    {
        while (true)
        {
            if (_next.TryGetValue(Key(state, c), out var next))
            {
                return next;
            }

            if (state == 0)
            {
                return 0;
            }

            state = _fail[state];
        }
    }

    private static long Key(int node, char c) => ((long)node << 16) | c;
}
