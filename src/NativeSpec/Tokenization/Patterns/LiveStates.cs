namespace NativeSpec.Tokenization.Patterns;

/// <summary>From which states of a pattern's automaton the rest of a text can be matched, place by place. Each set of states is made once
/// and kept, so that most places cost a look into a table; the sets are forgotten when there are many. For one thread at a time.</summary>
/// <remarks>A text of several blocks is read twice from its end: once to keep the sets at the ends of the blocks, then block by block as the
/// second pass reaches them. So the memory needed does not grow with the text times the number of states.</remarks>
internal sealed class LiveStates
{
    private const int BlockLength = 4096;
    private const int MaxTableWords = 1 << 20;

    private readonly PatternProgram _program;
    private readonly PatternState[] _states;
    private readonly int[][] _takersOf; // by letter: the states that take it
    private readonly int[][] _before; // by state: the states that go on to it without taking a letter, of the same depth
    private readonly int[] _behindOf; // by letter: what looks behind see of it
    private readonly int[] _behindLetter; // of each of these, one such letter; -1 is the start of the text
    private readonly int _maxDepth;
    private readonly int[] _accepts;
    private readonly Dictionary<StateSet, StateSet> _known = [];
    private readonly Stack<int> _work = new();
    private readonly bool[] _seen;
    private readonly StateSet[] _block = new StateSet[BlockLength + 2];
    private StateSet[] _ends; // the sets after the text, by what is behind
    private StateSet[] _blockEnds = [];
    private int _blockStart;
    private int _blockEnd;

    /// <summary>Prepares the tables of an automaton.</summary>
    public LiveStates(PatternProgram program)
    {
        _program = program;
        _states = program.States;
        _seen = new bool[_states.Length];
        _maxDepth = _states.Max(s => s.Depth);
        var alphabet = program.Alphabet;
        var all = Enumerable.Range(0, _states.Length);
        _takersOf = [.. Enumerable.Range(0, alphabet.Count).Select(letter =>
            all.Where(s => _states[s].Kind == StateKind.Take && alphabet.Has(letter, _states[s].Set)).ToArray())];
        var before = _states.Select(_ => new List<int>()).ToArray();
        foreach (var s in all.Where(s => _states[s].Kind is StateKind.Fork or StateKind.Ahead or StateKind.Behind))
        {
            before[_states[s].Next].Add(s);
            if (_states[s].Kind == StateKind.Fork)
            {
                before[_states[s].Other].Add(s);
            }
        }

        _before = [.. before.Select(list => list.ToArray())];
        _accepts = [.. all.Where(s => _states[s].Kind == StateKind.Accept)];
        (_behindOf, _behindLetter) = FindBehinds(alphabet);
        _ends = MakeEnds();
    }

    /// <summary>Begins another text.</summary>
    public void Begin(ReadOnlySpan<char> text)
    {
        if (IsTooLarge(MaxTableWords))
        {
            Forget();
        }

        var blocks = Math.Max(1, (text.Length + BlockLength - 1) / BlockLength);
        if (_blockEnds.Length < blocks)
        {
            _blockEnds = new StateSet[blocks];
        }

        var set = _ends[text.IsEmpty ? 0 : BehindAt(text, text.Length)];
        for (var block = blocks - 1; block >= 0; block--)
        {
            _blockEnds[block] = set;
            if (block > 0)
            {
                set = Read(text, Boundary(text, block + 1), Boundary(text, block), set, keep: false);
            }
        }

        _blockStart = -1;
        _blockEnd = -1;
    }

    /// <summary>The live states at a place. Places must be asked for in ascending order, but for a block's length.</summary>
    public StateSet At(ReadOnlySpan<char> text, int index)
    {
        if (index < _blockStart || index > _blockEnd || _blockEnd < 0)
        {
            Load(text, index);
        }

        return _block[index - _blockStart];
    }

    /// <summary>The state that takes the next letter on the preferred way from a state that is live in a set, or -1 where that way ends.</summary>
    public int FindTake(StateSet set, int from)
    {
        Array.Clear(_seen);
        _work.Clear();
        _work.Push(from);
        while (true)
        {
            var at = _work.Pop();
            if (_seen[at])
            {
                continue; // a repetition of nothing
            }

            _seen[at] = true;
            var state = _states[at];
            switch (state.Kind)
            {
                case StateKind.Accept:
                    return -1;
                case StateKind.Take:
                    return at;
                default:
                    if (state.Kind == StateKind.Fork && set.IsLive(state.Other))
                    {
                        _work.Push(state.Other);
                    }

                    if (set.IsLive(state.Next))
                    {
                        _work.Push(state.Next);
                    }

                    break;
            }
        }
    }

    private bool IsTooLarge(int words) => (long)_known.Count * (Symbols + _states.Length) > words;

    private int Symbols => _takersOf.Length * _behindLetter.Length;

    private static int Boundary(ReadOnlySpan<char> text, int block)
    {
        var at = Math.Min(text.Length, block * BlockLength);
        return at > 0 && at < text.Length && char.IsLowSurrogate(text[at]) && char.IsHighSurrogate(text[at - 1]) ? at + 1 : at;
    }

    private void Load(ReadOnlySpan<char> text, int index)
    {
        var block = Math.Max(0, (index - 1) / BlockLength);
        while (Boundary(text, block + 1) < index)
        {
            block++;
        }

        while (Boundary(text, block) > index)
        {
            block--;
        }

        (_blockStart, _blockEnd) = (Boundary(text, block), Boundary(text, block + 1));
        Read(text, _blockEnd, _blockStart, _blockEnds[block], keep: true);
    }

    // Reads from one place back to an earlier one, given the set at the first.
    private StateSet Read(ReadOnlySpan<char> text, int from, int to, StateSet set, bool keep)
    {
        var alphabet = _program.Alphabet;
        var looksBehind = _behindLetter.Length > 1;
        if (keep)
        {
            _block[from - to] = set;
        }

        for (var at = from; at > to;)
        {
            var letter = alphabet.Before(text, at, out var length);
            at -= length;
            var symbol = looksBehind ? (letter * _behindLetter.Length) + BehindAt(text, at) : letter;
            set = set.Before[symbol] ?? Step(set, symbol);
            if (keep)
            {
                _block[at - to] = set;
            }
        }

        return set;
    }

    private int BehindAt(ReadOnlySpan<char> text, int at) =>
        at == 0 || _behindLetter.Length == 1 ? 0 : _behindOf[_program.Alphabet.Before(text, at, out _)];

    private StateSet Step(StateSet after, int symbol)
    {
        if (IsTooLarge(2 * MaxTableWords))
        {
            Forget();
        }

        var (letter, behind) = (symbol / _behindLetter.Length, symbol % _behindLetter.Length);
        var takers = _takersOf[letter].Where(s => after.IsLive(_states[s].Next)).ToArray();
        return after.Before[symbol] = Close(takers, behind);
    }

    // All states from which one can go on to a taker or to an end, the innermost look-aheads first: those around them ask for them.
    private StateSet Close(int[] takers, int behind)
    {
        var live = new bool[_states.Length];
        _work.Clear();
        for (var depth = _maxDepth; depth >= 0; depth--)
        {
            foreach (var s in takers.Concat(_accepts).Where(s => _states[s].Depth == depth))
            {
                live[s] = true;
                _work.Push(s);
            }

            while (_work.TryPop(out var at))
            {
                foreach (var s in _before[at])
                {
                    if (!live[s] && Holds(_states[s], live, behind))
                    {
                        live[s] = true;
                        _work.Push(s);
                    }
                }
            }
        }

        var set = new StateSet(live, behind, Symbols);
        if (_known.TryGetValue(set, out var known))
        {
            return known;
        }

        _known.Add(set, set);
        return set;
    }

    private bool Holds(PatternState state, bool[] live, int behind) => state.Kind switch
    {
        StateKind.Ahead => live[state.Other] != state.Negative,
        StateKind.Behind => (_behindLetter[behind] >= 0 && _program.Alphabet.Has(_behindLetter[behind], state.Set)) != state.Negative,
        _ => true,
    };

    private void Forget()
    {
        _known.Clear();
        _ends = MakeEnds();
    }

    private StateSet[] MakeEnds() => [.. Enumerable.Range(0, _behindLetter.Length).Select(behind => Close([], behind))];

    private (int[] Of, int[] Letters) FindBehinds(CharAlphabet alphabet)
    {
        var sets = _states.Where(s => s.Kind == StateKind.Behind).Select(s => s.Set).Distinct().ToArray();
        var of = new int[alphabet.Count];
        var letters = new List<int> { -1 };
        for (var letter = 0; letter < of.Length && sets.Length > 0; letter++)
        {
            var same = letters.FindIndex(1, other => sets.All(set => alphabet.Has(other, set) == alphabet.Has(letter, set)));
            of[letter] = same >= 0 ? same : letters.Count;
            if (same < 0)
            {
                letters.Add(letter);
            }
        }

        return (of, [.. letters]);
    }
}

/// <summary>A set of live states, the sets that lie before it by letter, and the ways that have been found in it.</summary>
internal sealed class StateSet : IEquatable<StateSet>
{
    private const int NotAsked = -2;

    private readonly bool[] _live;
    private readonly int _behind;
    private readonly int _hash;
    private int[]? _takes;

    /// <summary>Makes a set.</summary>
    /// <param name="live">For each state, whether it is live.</param>
    /// <param name="behind">What looks behind see.</param>
    /// <param name="symbols">How many letters there are, told apart by what is behind them.</param>
    public StateSet(bool[] live, int behind, int symbols)
    {
        (_live, _behind) = (live, behind);
        Before = new StateSet?[symbols];
        var hash = default(HashCode);
        hash.Add(behind);
        hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(live.AsSpan()));
        _hash = hash.ToHashCode();
    }

    /// <summary>The set one letter before this one, by letter; null where it has not been asked for.</summary>
    public StateSet?[] Before { get; }

    /// <summary>Whether the rest can be matched from a state.</summary>
    public bool IsLive(int state) => _live[state];

    /// <summary>The state that takes the next letter on the preferred way from a live state, or -1 where that way ends.</summary>
    public int Follow(int state, LiveStates owner)
    {
        if (_takes is null)
        {
            _takes = new int[_live.Length];
            Array.Fill(_takes, NotAsked);
        }

        return _takes[state] == NotAsked ? _takes[state] = owner.FindTake(this, state) : _takes[state];
    }

    /// <inheritdoc/>
    public bool Equals(StateSet? other) => other is not null && _behind == other._behind && _live.AsSpan().SequenceEqual(other._live);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as StateSet);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;
}
