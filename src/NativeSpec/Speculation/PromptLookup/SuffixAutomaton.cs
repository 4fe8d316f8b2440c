using System.Diagnostics;
using System.Numerics;

namespace NativeSpec.Speculation.PromptLookup;

/// <summary>The suffix automaton of a text that grows at its end: the smallest automaton that knows every substring of the text.</summary>
/// <remarks>
/// <para>Blumer, Blumer, Haussler, Ehrenfeucht, Chen, Seiferas, "The smallest automaton recognizing the subwords of a text", TCS 40, 1985.
/// A state stands for all substrings that end at the same places. Its suffix link leads to the longest suffix of its strings that also
/// ends elsewhere, so the link of the whole text's state <i>is</i> the longest suffix of the text that occurred before; the trivial match
/// of the end with itself cannot come up.</para>
/// <para>Appending costs O(1) amortised. Each append also freshens the counts and the latest places of the contexts it passes: all that
/// the token is new to, and the <see cref="FreshLinks"/> longest of those that it followed before. In contexts nested deeper an earlier
/// place may be given than the latest: always a true one.</para>
/// <para>Memory: at most 2 states of 16 bytes and 3 transitions of 20 bytes per token (1 to 1.5 and 2 in usual texts); transitions of all
/// states lie in one open-addressing table between 3/8 and 3/4 full. Both grow by doubling, the only time that appending allocates.</para>
/// </remarks>
internal sealed class SuffixAutomaton
{
    /// <summary>The state of the empty string.</summary>
    public const int Root = 0;

    /// <summary>Contexts freshened per token beyond those that it is new to, and successors of a state that are looked at.</summary>
    private const int FreshLinks = 8;
    private const int MaxSuccessorsScanned = 32;
    private const int None = -1;

    private State[] _states;
    private Transition[] _transitions;
    private int _stateCount = 1;
    private int _transitionCount;
    private int _last = Root;

    /// <summary>Makes the automaton of the empty text.</summary>
    /// <param name="expectedLength">Tokens that are appended without growing.</param>
    public SuffixAutomaton(int expectedLength = 64)
    {
        _states = new State[(3 * Math.Max(expectedLength, 16) / 2) + 1];
        _transitions = new Transition[BitOperations.RoundUpToPowerOf2((uint)Math.Max(3 * expectedLength, 64))];
        _states[Root] = new State(0, None, 0);
    }

    /// <summary>Tokens appended.</summary>
    public int Length { get; private set; }

    /// <summary>The state of the longest suffix of the text that also ends earlier in it; the root where no token of it did.</summary>
    public int Match => Math.Max(_states[_last].Link, Root);

    /// <summary>Bytes held.</summary>
    public long Bytes => (16L * _states.Length) + (20L * _transitions.Length);

    /// <summary>The length of the longest string of a state.</summary>
    public int LengthOf(int state) => _states[state].Length;

    /// <summary>The state of the longest suffix that ends at more places than a state's strings; the root's is −1.</summary>
    public int LinkOf(int state) => _states[state].Link;

    /// <summary>Where a state's strings ended last: the number of tokens up to and with the last of the string. For <see cref="Match"/> and
    /// the states on its links it is below <see cref="Length"/>: an earlier occurrence.</summary>
    public int EndOf(int state) => _states[state].End;

    /// <summary>Appends a token, an id of at least 0.</summary>
    public void Append(int token)
    {
        Debug.Assert(token >= 0, "token ids are not negative");
        var current = AddState(new State(Length + 1, None, Length + 1));

        // Every suffix of the text that the token never followed: their continuations are found at the new state from now on.
        var state = _last;
        while (state != None && Find(state, token) == None)
        {
            AddTransition(state, token, current, 1, _states[state].FirstToken);
            _states[state].FirstToken = token;
            _states[state].End = Length;
            state = _states[state].Link;
        }

        var link = state == None ? Root : ContinuationOf(state, token); // may grow the states
        _states[current].Link = link;
        _last = current;
        Length++;
    }

    /// <summary>How often a token followed a state's strings, as far as counted; 0 if it never did.</summary>
    public int CountOf(int state, int token)
    {
        var slot = Find(state, token);
        return slot == None ? 0 : _transitions[slot].Count;
    }

    /// <summary>The tokens that followed a state's strings most often, of the <see cref="MaxSuccessorsScanned"/> that were new
    /// last.</summary>
    /// <param name="state">A state.</param>
    /// <param name="best">Room for the tokens, the most frequent first, and of equal ones the one that was new last.</param>
    /// <param name="total">The sum of all counts looked at.</param>
    /// <returns>How many tokens there are in <paramref name="best"/>.</returns>
    public int Successors(int state, Span<Successor> best, out int total)
    {
        var count = 0;
        total = 0;
        var token = _states[state].FirstToken;
        for (var scanned = 0; token != None && scanned < MaxSuccessorsScanned; scanned++)
        {
            ref readonly var transition = ref _transitions[Find(state, token)];
            total += transition.Count;
            var place = count;
            while (place > 0 && best[place - 1].Count < transition.Count)
            {
                if (place < best.Length)
                {
                    best[place] = best[place - 1];
                }

                place--;
            }

            if (place < best.Length)
            {
                best[place] = new Successor(token, transition.Count, _states[transition.Target].End);
                count = Math.Min(count + 1, best.Length);
            }

            token = transition.NextToken;
        }

        return count;
    }

    /// <summary>The state for the longest suffix that the token did follow before, with the token: the target of that suffix's transition,
    /// split where the target also holds longer strings, because those do not end at the text's end.</summary>
    private int ContinuationOf(int state, int token)
    {
        Freshen(state, token);
        var target = _transitions[Find(state, token)].Target;
        if (_states[state].Length + 1 == _states[target].Length)
        {
            return target;
        }

        var original = _states[target];
        var clone = AddState(original with { Length = _states[state].Length + 1 });
        for (var next = original.FirstToken; next != None;)
        {
            var copy = _transitions[Find(target, next)];
            AddTransition(clone, next, copy.Target, copy.Count, copy.NextToken);
            next = copy.NextToken;
        }

        _states[target].Link = clone;
        for (; state != None; state = _states[state].Link)
        {
            var slot = Find(state, token);
            if (_transitions[slot].Target != target)
            {
                break;
            }

            _transitions[slot].Target = clone;
        }

        return clone;
    }

    /// <summary>Counts the token in the longest contexts that it followed before, and notes that they end at the text's end.</summary>
    private void Freshen(int state, int token)
    {
        for (var i = 0; i < FreshLinks && state > Root; i++)
        {
            _transitions[Find(state, token)].Count++;
            _states[state].End = Length;
            state = _states[state].Link;
        }
    }

    private int AddState(State state)
    {
        if (_stateCount == _states.Length)
        {
            Array.Resize(ref _states, checked(2 * _states.Length));
        }

        _states[_stateCount] = state;
        return _stateCount++;
    }

    private void AddTransition(int state, int token, int target, int count, int nextToken)
    {
        if (4L * (_transitionCount + 1) > 3L * _transitions.Length)
        {
            Grow();
        }

        Insert(new Transition(state, token, target, count, nextToken));
        _transitionCount++;
    }

    private void Grow()
    {
        var old = _transitions;
        _transitions = new Transition[checked(2 * old.Length)];
        foreach (ref readonly var transition in old.AsSpan())
        {
            if (transition.Target != Root)
            {
                Insert(transition);
            }
        }
    }

    private void Insert(in Transition transition)
    {
        var mask = _transitions.Length - 1;
        var slot = Slot(transition.State, transition.Token, mask);
        while (_transitions[slot].Target != Root)
        {
            slot = (slot + 1) & mask;
        }

        _transitions[slot] = transition;
    }

    /// <summary>The slot of a transition; −1 if there is none. No transition leads to the root, so a zeroed slot is an empty one.</summary>
    private int Find(int state, int token)
    {
        var transitions = _transitions;
        var mask = transitions.Length - 1;
        for (var slot = Slot(state, token, mask); transitions[slot].Target != Root; slot = (slot + 1) & mask)
        {
            if (transitions[slot].State == state && transitions[slot].Token == token)
            {
                return slot;
            }
        }

        return None;
    }

    /// <summary>Where to look first. Multiplicative hashing by 2⁶⁴ divided by the golden ratio (Knuth, TAOCP 3, 6.4): the upper bits of the
    /// product depend on every bit of the key.</summary>
    private static int Slot(int state, int token, int mask)
        => (int)(((((ulong)(uint)state << 32) | (uint)token) * 0x9E3779B97F4A7C15) >> BitOperations.LeadingZeroCount((ulong)mask));

    /// <summary>A token that followed, how often, and the end of its last occurrence there.</summary>
    public readonly record struct Successor(int Token, int Count, int End);

    /// <summary>Substrings that end at the same places: the longest one's length, the suffix link, the last such place, and the successor
    /// that was new last (−1 for none).</summary>
    private record struct State(int Length, int Link, int End)
    {
        public int FirstToken = None;
    }

    /// <summary>A state's transition by a token, and the token of the state's transition that was new before it (−1 for none).</summary>
    private record struct Transition(int State, int Token, int Target, int Count, int NextToken);
}
