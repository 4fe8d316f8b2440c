namespace NativeSpec.Speculation.TreeLayouts;

/// <summary>The fixed shape of a candidate tree: each node is a path of ranks below the root, [0, 2] being the third choice for the second
/// token after the first choice for the first. Which tokens they are is only known in a round.</summary>
/// <remarks>Nodes are ordered by depth and then by path, as Medusa orders them; node 0 is the root, so children of a node stand together
/// and after it.</remarks>
public sealed class TreeLayout
{
    /// <summary>Most nodes, the root included.</summary>
    public const int MaxNodes = 4096;

    /// <summary>Most tokens below the root on a path.</summary>
    public const int MaxDepth = 64;

    private readonly int[] _parents;
    private readonly int[] _depths;
    private readonly int[] _ranks;
    private readonly int[] _firstChild;

    private TreeLayout(string name, int[][] sorted)
    {
        Name = name;
        _parents = new int[sorted.Length + 1];
        _depths = new int[sorted.Length + 1];
        _ranks = new int[sorted.Length + 1];
        _firstChild = new int[sorted.Length + 2];
        _parents[0] = -1;
        _ranks[0] = -1;
        var parent = 0;
        for (var node = 1; node <= sorted.Length; node++)
        {
            var path = sorted[node - 1];
            // Parents come in the same order as their children, so the search goes on where it stopped.
            while (!path.AsSpan(0, path.Length - 1).SequenceEqual(parent == 0 ? [] : sorted[parent - 1]))
            {
                _firstChild[++parent] = node;
            }

            _parents[node] = parent;
            _depths[node] = path.Length;
            _ranks[node] = path[^1];
            Width = Math.Max(Width, path[^1] + 1);
        }

        Array.Fill(_firstChild, Count, parent + 1, _firstChild.Length - parent - 1);
        _firstChild[0] = 1;
        Depth = _depths[^1];
    }

    /// <summary>A name for people.</summary>
    public string Name { get; }

    /// <summary>Nodes, the root included.</summary>
    public int Count => _parents.Length;

    /// <summary>Depth of the deepest node: how many tokens a round can accept, the bonus token aside.</summary>
    public int Depth { get; }

    /// <summary>Nodes without children.</summary>
    public int LeafCount => Enumerable.Range(0, Count).Count(node => Children(node) is var (begin, end) && begin == end);

    /// <summary>The largest rank, plus one: how many tokens must be known for each place.</summary>
    public int Width { get; }

    /// <summary>[count] parents; −1 for the root.</summary>
    public ReadOnlySpan<int> Parents => _parents;

    /// <summary>[count] distances from the root: also what a node's position is beyond that of the root.</summary>
    public ReadOnlySpan<int> Depths => _depths;

    /// <summary>[count] ranks among the choices for the node's place; −1 for the root.</summary>
    public ReadOnlySpan<int> Ranks => _ranks;

    /// <summary>The layout of a list of paths, in any order, such as a <c>medusa_choices</c> list.</summary>
    /// <param name="name">A name for people.</param>
    /// <param name="choices">Paths of ranks. Each path's beginning must be in the list too; the root is not.</param>
    /// <exception cref="ArgumentException">The list is empty or too long, or a path is empty, too deep, negative, double or without its
    /// beginning.</exception>
    public static TreeLayout FromChoices(string name, IEnumerable<IReadOnlyList<int>> choices)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(choices);
        int[][] sorted = [.. choices.Take(MaxNodes).Select(path => path.ToArray()).OrderBy(path => path, Comparer<int[]>.Create(Compare))];
        if (sorted.Length is 0 or MaxNodes)
        {
            throw new ArgumentException(sorted.Length == 0 ? "the tree is empty: it needs at least one path" : $"the tree has more than "
                + $"{MaxNodes - 1} paths", nameof(choices));
        }

        var known = new HashSet<string>(sorted.Length) { "[]" };
        foreach (var path in sorted)
        {
            var text = Text(path);
            if (path.Length is 0 or > MaxDepth || path.Any(rank => rank < 0))
            {
                throw new ArgumentException($"path {text} is no path: it needs 1 to {MaxDepth} ranks, counted from 0", nameof(choices));
            }

            if (!known.Contains(Text(path.AsSpan(0, path.Length - 1))))
            {
                throw new ArgumentException($"path {text} is in the tree, and its beginning "
                    + $"{Text(path.AsSpan(0, path.Length - 1))} is not", nameof(choices));
            }

            if (!known.Add(text))
            {
                throw new ArgumentException($"path {text} is in the tree twice", nameof(choices));
            }
        }

        return new TreeLayout(name, sorted);
    }

    /// <summary>The layout of a list of nodes, parents first.</summary>
    /// <param name="name">A name for people.</param>
    /// <param name="parents">[count] −1 for node 0, the root; an earlier node for every other.</param>
    /// <param name="ranks">[count] ranks; the root's is not looked at.</param>
    /// <exception cref="ArgumentException">A parent does not stand before its child, or the paths that follow are not a tree.</exception>
    public static TreeLayout FromParents(string name, IReadOnlyList<int> parents, IReadOnlyList<int> ranks)
    {
        ArgumentNullException.ThrowIfNull(parents);
        ArgumentNullException.ThrowIfNull(ranks);
        if (parents.Count != ranks.Count || parents.Count is < 2 or > MaxNodes || parents[0] != -1)
        {
            throw new ArgumentException($"{parents.Count} parents and {ranks.Count} ranks; expected one of each for 2 to {MaxNodes} "
                + "nodes, the first parent being -1", nameof(parents));
        }

        var paths = new List<int[]> { Array.Empty<int>() };
        for (var node = 1; node < parents.Count; node++)
        {
            if (parents[node] < 0 || parents[node] >= node)
            {
                throw new ArgumentException($"node {node} has parent {parents[node]}; a parent stands before its child", nameof(parents));
            }

            int[] path = [.. paths[parents[node]], ranks[node]];
            paths.Add(path.Length <= MaxDepth ? path : throw new ArgumentException($"node {node} is deeper "
                + $"than {MaxDepth}", nameof(parents)));
        }

        return FromChoices(name, paths.Skip(1));
    }

    /// <summary>The children of a node are the nodes from the first to before the second.</summary>
    public (int Begin, int End) Children(int node) => (_firstChild[node], _firstChild[node + 1]);

    /// <summary>A node's path of ranks; empty for the root.</summary>
    public int[] Path(int node)
    {
        var path = new int[_depths[node]];
        for (var i = path.Length - 1; i >= 0; i--)
        {
            path[i] = _ranks[node];
            node = _parents[node];
        }

        return path;
    }

    /// <summary>The tree mask: whether a node sees another, which it does if that is itself or an ancestor.</summary>
    public bool Sees(int node, int other)
    {
        while (_depths[node] > _depths[other])
        {
            node = _parents[node];
        }

        return node == other;
    }

    /// <summary>Checks that heads can fill the layout.</summary>
    /// <param name="heads">Heads there are: one for each depth.</param>
    /// <param name="tokens">Tokens that a head can rank.</param>
    /// <exception cref="ArgumentException">The tree is deeper than the heads are many, or asks for a rank that does not exist.</exception>
    public void RequireFit(int heads, int tokens)
    {
        if (Depth > heads)
        {
            throw new ArgumentException($"tree '{Name}' is {Depth} deep, with {Text(Path(Count - 1))}; there are {heads} heads, one "
                + "for each depth");
        }

        if (Width > tokens)
        {
            throw new ArgumentException($"tree '{Name}' asks for rank {Width - 1}, in "
                + $"{Text(Path(Array.FindIndex(_ranks, rank => rank == Width - 1)))}; there are {tokens} tokens to rank");
        }
    }

    /// <summary>For messages and pictures: [0, 2].</summary>
    internal static string Text(ReadOnlySpan<int> path) => $"[{string.Join(", ", path[..Math.Min(path.Length, MaxDepth)].ToArray())}]";

    private static int Compare(int[]? a, int[]? b)
    {
        var byLength = a!.Length.CompareTo(b!.Length);
        return byLength != 0 ? byLength : a.AsSpan().SequenceCompareTo(b);
    }
}
