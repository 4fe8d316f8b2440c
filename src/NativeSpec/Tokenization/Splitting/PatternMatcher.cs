using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

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
        _lengths = new int[patterns.Count];
        var lastChars = new StringBuilder();
        List<Node> nodes = [new Node(0, '\0', 0)];
        for (var pattern = 0; pattern < patterns.Count; pattern++)
        {
            _lengths[pattern] = patterns[pattern].Length;
            lastChars.Append(patterns[pattern], Math.Max(_lengths[pattern] - 1, 0), Math.Min(_lengths[pattern], 1));
            AddReversed(patterns[pattern], pattern, nodes);
        }

        _lastChars = SearchValues.Create(lastChars.ToString());
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

    private void AddReversed(string pattern, int index, List<Node> nodes)
    {
        var node = 0;
        for (var i = pattern.Length - 1; i >= 0; i--)
        {
            if (!_next.TryGetValue(Key(node, pattern[i]), out var child))
            {
                child = nodes.Count;
                _next.Add(Key(node, pattern[i]), child);
                nodes.Add(new Node(node, pattern[i], nodes[node].Depth + 1));
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

    private void LinkFailures(List<Node> nodes)
    {
        var deepest = 0;
        foreach (var node in nodes)
        {
            deepest = Math.Max(deepest, node.Depth);
        }

        List<int>[] byDepth = new List<int>[deepest + 1];
        for (var depth = 0; depth <= deepest; depth++)
        {
            byDepth[depth] = [];
        }

        for (var node = 0; node < nodes.Count; node++)
        {
            byDepth[nodes[node].Depth].Add(node);
        }

        for (var depth = 1; depth <= deepest; depth++)
        {
            foreach (var node in byDepth[depth])
            {
                _fail[node] = depth == 1 ? 0 : Step(_fail[nodes[node].Parent], nodes[node].Char);
                if (_longest[node] < 0)
                {
                    _longest[node] = _longest[_fail[node]];
                }
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

    /// <summary>A node while the automaton is built.</summary>
    private sealed record Node(int Parent, char Char, int Depth);

    private static long Key(int node, char c) => ((long)node << 16) | c;
}
