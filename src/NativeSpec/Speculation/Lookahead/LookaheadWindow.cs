using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Lookahead;

/// <summary>The window of lookahead decoding: W columns, each with the last N−1 steps (levels) of a Jacobi iteration.</summary>
/// <remarks>
/// <para>Layout, as published. Level 0 is a chain of which the root is column 0; from column i hangs the chain of its levels 1..N−2. So
/// level l of column i has depth i + l, and sees the text, columns 0..i of level 0 and its own column's levels 1..l. All but the root
/// are probes.</para>
/// <para>Each round the target's choice after a column's deepest level is its next level. A column with N levels is an n-gram, key first:
/// it goes to the pool and its level 0 is dropped, which moves the column on by one token. Warm-up is the first N−2 rounds, in which
/// columns grow and give no n-gram.</para>
/// <para>A round may add more tokens to the text than a column moves. Then the columns that the text has passed become the window's far
/// end: the others stand where their tokens are expected, and what the passed ones hold stays in use. (The published code always moves
/// the window by one token, and begins with N−2 columns more, of which warm-up drops one per round.) A column that was not computed
/// stays as it is.</para>
/// </remarks>
internal sealed class LookaheadWindow
{
    private const int HashedTokens = 256;

    private readonly int _width;
    private readonly int _level;
    private readonly int[] _tokens; // [W][N] the columns' levels
    private readonly int[] _filled; // [W] levels that a column has, 1 to N−1 between rounds
    private readonly int[] _tips; // [W] node of a column's deepest level, −1 if it is not in the tree
    private int _used; // columns in this round's tree

    /// <summary>Makes a window of one level of tokens that are picked from a text.</summary>
    /// <param name="width">W.</param>
    /// <param name="level">N.</param>
    /// <param name="text">Where the tokens are from, at least one. They are picked as if by chance, by counter-based random numbers keyed
    /// by the hash of its end: the same text gives the same window.</param>
    public LookaheadWindow(int width, int level, ReadOnlySpan<int> text)
    {
        _width = width;
        _level = level;
        _tokens = new int[width * level];
        _filled = new int[width];
        _tips = new int[width];
        Array.Fill(_filled, 1);
        var seed = TokenHash.Of(text[^Math.Min(text.Length, HashedTokens)..]);
        for (var column = 0; column < width; column++)
        {
            Levels(column)[0] = text[(int)(CounterRandom.Uniform(seed, column, draw: 0) * text.Length)];
        }
    }

    /// <summary>Adds the probes of as many columns as fit.</summary>
    public void AddTo(DraftTree tree, int probeBudget, int maxDepth)
    {
        var probes = Math.Min(probeBudget, tree.Capacity - tree.Count);
        _used = Math.Clamp(Math.Min((probes + 1) / (_level - 1), maxDepth - _level + 3), 0, _width);
        var trunk = 0;
        for (var i = 0; i < _used; i++)
        {
            var levels = Levels(i);
            if (i == 0)
            {
                levels[0] = tree.Token(0);
            }
            else
            {
                trunk = tree.AddProbe(trunk, levels[0]);
            }

            _tips[i] = trunk;
            for (var level = 1; level < _filled[i]; level++)
            {
                _tips[i] = tree.AddProbe(_tips[i], levels[level]);
            }
        }
    }

    /// <summary>Takes the target's choices at the probes, gives finished n-grams to the pool and moves on with the text.</summary>
    public void Collect(RoundOutcome outcome, NGramPool pool)
    {
        var advance = outcome.Emitted.Length;
        Span<int> likeliest = stackalloc int[1];
        for (var i = 0; i < _used; i++)
        {
            if (_tips[i] < 0 || !outcome.WasComputed(_tips[i]))
            {
                continue;
            }

            var levels = Levels(i);
            outcome.Likeliest(_tips[i], likeliest);
            levels[_filled[i]++] = Math.Max(likeliest[0], 0); // none where no logit is a number
            if (_filled[i] == _level)
            {
                pool.Add(levels[0], levels[1..]);
                levels[1..].CopyTo(levels);
                _filled[i]--;
                advance -= i == 0 ? 1 : 0;
            }
        }

        if (_used > 0 && advance > 0)
        {
            RotateLeft(_tokens.AsSpan(0, _used * _level), advance % _used * _level);
            RotateLeft(_filled.AsSpan(0, _used), advance % _used);
        }

        _used = 0;
    }

    private static void RotateLeft(Span<int> values, int count)
    {
        values[..count].Reverse();
        values[count..].Reverse();
        values.Reverse();
    }

    private Span<int> Levels(int column) => _tokens.AsSpan(column * _level, _level);
}
