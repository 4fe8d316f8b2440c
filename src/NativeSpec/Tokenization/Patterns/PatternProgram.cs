namespace NativeSpec.Tokenization.Patterns;

/// <summary>What a state of the automaton does.</summary>
internal enum StateKind
{
    /// <summary>Takes a letter of a set and goes on.</summary>
    Take,

    /// <summary>Goes to the first of two states if the pattern matches from there, else to the second.</summary>
    Fork,

    /// <summary>Goes on if the look-ahead holds here.</summary>
    Ahead,

    /// <summary>Goes on if the letter before is of a set.</summary>
    Behind,

    /// <summary>The end: of the pattern, or of a look-ahead.</summary>
    Accept,
}

/// <summary>A state of the automaton.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Next">Where it goes.</param>
/// <param name="Other">Of a fork the second state, of a look-ahead the state where its own part begins.</param>
/// <param name="Set">The set's number.</param>
/// <param name="Negative">Whether a look must fail.</param>
/// <param name="Depth">In how many look-aheads the state lies.</param>
internal readonly record struct PatternState(StateKind Kind, int Next, int Other, int Set, bool Negative, int Depth);

/// <summary>A pattern as a nondeterministic automaton (Thompson, 1968) whose forks are in order of preference.</summary>
internal sealed class PatternProgram
{
    /// <summary>Most states: what one character can cost at worst.</summary>
    public const int MaxStates = 2048;

    private readonly List<PatternState> _states = [];
    private readonly List<CharSet> _sets = [];
    private int _depth;

    /// <summary>Makes the automaton of a pattern.</summary>
    /// <exception cref="PatternException">It has too many states.</exception>
    public PatternProgram(PatternNode pattern)
    {
        Start = Compile(pattern, Add(new(StateKind.Accept, -1, -1, -1, false, 0)));
        Alphabet = new(_sets);
        States = [.. _states];
    }

    /// <summary>The states.</summary>
    public PatternState[] States { get; }

    /// <summary>The first state.</summary>
    public int Start { get; }

    /// <summary>The letters that the pattern tells apart.</summary>
    public CharAlphabet Alphabet { get; }

    private int Add(PatternState state)
    {
        if (_states.Count == MaxStates)
        {
            throw new PatternException($"it needs more than {MaxStates} states");
        }

        _states.Add(state);
        return _states.Count - 1;
    }

    private int AddSet(CharSet set)
    {
        var known = _sets.FindIndex(s => ReferenceEquals(s, set));
        if (known >= 0)
        {
            return known;
        }

        _sets.Add(set);
        return _sets.Count - 1;
    }

    // The state from which a part matches and then goes on to a state.
    private int Compile(PatternNode node, int next)
    {
        switch (node)
        {
            case PatternNode.One one:
                return Add(new(StateKind.Take, next, -1, AddSet(one.Set), false, _depth));
            case PatternNode.Sequence sequence:
                return sequence.Parts.Reverse().Aggregate(next, (after, part) => Compile(part, after));
            case PatternNode.Choice choice:
                return choice.Parts.Reverse().Select(part => Compile(part, next)).ToArray()
                    .Aggregate((second, first) => Add(new(StateKind.Fork, first, second, -1, false, _depth)));
            case PatternNode.Repeat repeat:
                return Compile(repeat, next);
            case PatternNode.Behind behind:
                return Add(new(StateKind.Behind, next, -1, AddSet(behind.Set), behind.Negative, _depth));
            case PatternNode.Ahead ahead:
                _depth++;
                var body = Compile(ahead.Part, Add(new(StateKind.Accept, -1, -1, -1, false, _depth)));
                _depth--;
                return Add(new(StateKind.Ahead, next, body, -1, ahead.Negative, _depth));
            default:
                throw new InvalidOperationException(node.GetType().Name);
        }
    }

    private int Compile(PatternNode.Repeat repeat, int next)
    {
        if (repeat.Max < 0)
        {
            var loop = Add(default);
            _states[loop] = Fork(Compile(repeat.Part, loop), next, repeat.Lazy);
            next = loop;
        }
        else
        {
            var after = next;
            for (var i = repeat.Min; i < repeat.Max; i++)
            {
                next = Add(Fork(Compile(repeat.Part, next), after, repeat.Lazy));
            }
        }

        for (var i = 0; i < repeat.Min; i++)
        {
            next = Compile(repeat.Part, next);
        }

        return next;
    }

    private PatternState Fork(int again, int after, bool lazy) =>
        lazy ? new(StateKind.Fork, after, again, -1, false, _depth) : new(StateKind.Fork, again, after, -1, false, _depth);
}
