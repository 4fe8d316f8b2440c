namespace NativeSpec.Speculation.TreeLayouts;

/// <summary>The best trees of all sizes up to a number of nodes, by dynamic programming (Chen et al., Sequoia, 2024, proposition 3.4):
/// <code>
/// T(d, m, 0) = 1
/// T(d, m, b) = max( T(d, m, b−1),  max over y of T(d, m−y, b−1) + p(d+1, b) · T(d+1, y, R) )
/// </code>
/// T(d, m, b) is the number of tokens that a subtree of at most m nodes yields, once its root at depth d is accepted, when the root has
/// children of the b likeliest ranks only; y of the nodes go to the b-th of them, which is accepted with p(d+1, b). Unlike Sequoia's p,
/// which depends on the rank alone, acceptance depends on the depth too, so the table has a layer for each depth.</summary>
public sealed class OptimalTrees
{
    // Of the table's cells, which take 12 bytes each; real tables have thousands.
    private const long MaxCells = 50_000_000;

    private readonly int _maxDepth;
    private readonly int[][] _order;        // [depth] ranks of the children, likeliest first
    private readonly double[][][] _value;   // [depth][ranks used][nodes]
    private readonly int[][][] _given;      // the y that was best, 0 for none

    /// <summary>Fills the table: about depth · ranks · nodes² / 2 steps.</summary>
    /// <param name="acceptance">What was measured.</param>
    /// <param name="maxNodes">Most nodes, the root included.</param>
    /// <param name="maxDepth">Deepest node.</param>
    /// <exception cref="ArgumentException">The table would be too large.</exception>
    public OptimalTrees(AcceptanceTable acceptance, int maxNodes, int maxDepth)
    {
        TreeOptimizer.Check(acceptance, maxNodes, maxDepth);
        MaxNodes = maxNodes;
        _maxDepth = Math.Min(maxDepth, acceptance.Depths);
        _order = [.. Enumerable.Range(1, _maxDepth).Select(depth => acceptance.RanksByWorth(depth).Take(maxNodes - 1).ToArray())];
        if (_order.Sum(ranks => (ranks.Length + 1L) * (maxNodes + 1)) is var cells and > MaxCells)
        {
            throw new ArgumentException($"{maxNodes} nodes, {_maxDepth} depths and their ranks make a table of {cells} cells; at most "
                + $"{MaxCells} are filled", nameof(maxNodes));
        }

        _value = new double[_maxDepth + 1][][];
        _given = new int[_maxDepth + 1][][];
        _value[_maxDepth] = [Leaf()];
        _given[_maxDepth] = [[]];
        for (var depth = _maxDepth - 1; depth >= 0; depth--)
        {
            var ranks = _order[depth].Length;
            _value[depth] = new double[ranks + 1][];
            _given[depth] = new int[ranks + 1][];
            _value[depth][0] = Leaf();
            for (var b = 1; b <= ranks; b++)
            {
                var chance = acceptance[depth + 1, _order[depth][b - 1]];
                (_value[depth][b], _given[depth][b]) = AddRank(_value[depth][b - 1], _value[depth + 1][^1], chance);
            }
        }
    }

    /// <summary>Most nodes, the root included.</summary>
    public int MaxNodes { get; }

    /// <summary>Tokens per round of the best tree of at most this many nodes.</summary>
    public double ExpectedTokens(int nodes) => _value[0][^1][Checked(nodes)];

    /// <summary>The best tree of at most this many nodes; null where no node beside the root is ever right.</summary>
    public TreeLayout? Layout(int nodes)
    {
        var paths = new List<int[]>();
        Collect([], Checked(nodes), paths);
        return paths.Count == 0 ? null : TreeLayout.FromChoices($"optimal-{paths.Count + 1}", paths);
    }

    private (double[] Value, int[] Given) AddRank(double[] without, double[] below, double acceptance)
    {
        var value = new double[MaxNodes + 1];
        var given = new int[MaxNodes + 1];
        for (var m = 1; m <= MaxNodes; m++)
        {
            value[m] = without[m];
            for (var y = 1; y < m; y++)
            {
                var with = without[m - y] + (acceptance * below[y]);
                if (with > value[m])
                {
                    value[m] = with;
                    given[m] = y;
                }
            }
        }

        return (value, given);
    }

    private void Collect(int[] path, int nodes, List<int[]> paths)
    {
        var given = _given[path.Length];
        for (var b = given.Length - 1; b >= 1; b--)
        {
            if (given[b][nodes] is var y and > 0)
            {
                int[] child = [.. path, _order[path.Length][b - 1]];
                paths.Add(child);
                Collect(child, y, paths);
                nodes -= y;
            }
        }
    }

    // A root without children yields itself, whatever it may use; index 0 is never asked for.
    private double[] Leaf()
    {
        var value = new double[MaxNodes + 1];
        Array.Fill(value, 1, 1, MaxNodes);
        return value;
    }

    private int Checked(int nodes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nodes, MaxNodes);
        return nodes;
    }
}
