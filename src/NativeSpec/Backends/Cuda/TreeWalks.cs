using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>The trees that a run walks along on the device: what of them goes up with a pass, and the paths that come down with it. A pass walks along the trees that lie in it
/// as a whole.</summary>
/// <param name="rows">Rows with logits of a run at most.</param>
internal sealed unsafe class TreeWalks(int rows)
{
    private readonly int[] _parents = new int[rows];
    private readonly RowList[] _trees = new RowList[rows]; // in the order of their rows
    private readonly int[] _paths = new int[rows];
    private readonly int[] _lengths = new int[rows];       // [a tree's root] of its path; 0 where nobody walked
    private int _count;

    /// <summary>Has the next run walk along a tree (<see cref="ITreeWalks.Walk"/>).</summary>
    public void Add(int root, ReadOnlySpan<int> parents)
    {
        var end = _count == 0 ? 0 : _trees[_count - 1].First + _trees[_count - 1].Count;
        if (root < end || parents.IsEmpty || parents.Length > rows - root)
        {
            throw new ArgumentOutOfRangeException(nameof(root), $"a tree of {parents.Length} rows from row {root} of {rows}, behind one that ends at row {end}");
        }

        for (var node = 0; node < parents.Length; node++)
        {
            if (parents[node] < -1 || parents[node] >= node)
            {
                throw new ArgumentException($"node {node} has the parent {parents[node]}; expected one of those before it, or −1", nameof(parents));
            }
        }

        parents.CopyTo(_parents.AsSpan(root));
        _trees[_count++] = new RowList { First = root, Count = parents.Length };
    }

    /// <summary>Forgets what a run was to walk along.</summary>
    public void Clear() => _count = 0;

    /// <summary>Forgets the paths of the last run.</summary>
    public void ForgetPaths() => Array.Clear(_lengths);

    /// <summary>The path along a tree in the last run.</summary>
    public ReadOnlySpan<int> Path(int root) => _paths.AsSpan(root, _lengths[root]);

    /// <summary>Writes the trees that lie in a pass.</summary>
    /// <param name="block">What goes up.</param>
    /// <param name="layout">Where in it.</param>
    /// <param name="logits">The rows with logits of the pass.</param>
    public void Fill(byte* block, in RoundLayout layout, in PassRows logits)
    {
        var trees = new Span<RowList>(block + layout.Trees, logits.Count);
        var count = 0;
        foreach (var tree in _trees.AsSpan(0, _count))
        {
            if (IsIn(tree, logits))
            {
                trees[count++] = tree with { First = tree.First - logits.First };
            }
        }

        *(int*)(block + layout.TreeCount) = count;
        _parents.AsSpan(logits.First, logits.Count).CopyTo(new Span<int>(block + layout.Parents, logits.Count));
    }

    /// <summary>Whether a pass walks, so that there are paths to fetch.</summary>
    public bool AnyIn(in PassRows logits)
    {
        foreach (var tree in _trees.AsSpan(0, _count))
        {
            if (IsIn(tree, logits))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Takes the paths of a pass, after looking whether they are some: what the cache holds by now follows them.</summary>
    /// <param name="context">Is lost where they are none.</param>
    /// <param name="paths">[rows with logits of the pass] as they came down.</param>
    /// <param name="logits">The rows.</param>
    /// <param name="batch">Has their tokens.</param>
    /// <param name="answers">[rows with logits of the run] their answers.</param>
    public void Take(CudaContext context, ReadOnlySpan<int> paths, in PassRows logits, RowBatch batch, ReadOnlySpan<RowAnswer> answers)
    {
        foreach (var tree in _trees.AsSpan(0, _count))
        {
            if (!IsIn(tree, logits))
            {
                continue;
            }

            var path = paths.Slice(tree.First - logits.First, tree.Count);
            var length = path.IndexOf(-1) is >= 0 and var end ? end : path.Length;
            for (var i = 0; i < length || i == 0; i++)
            {
                if (!Continues(tree, path, i, batch, answers))
                {
                    throw context.Lose(CudaErrors.None, $"a path has node {path[i]} at depth {i} of a tree of {tree.Count} rows, where no chosen token leads", "walk_trees");
                }
            }

            path.CopyTo(_paths.AsSpan(tree.First));
            _lengths[tree.First] = length;
        }
    }

    private static bool IsIn(in RowList tree, in PassRows logits) => tree.First >= logits.First && tree.First + tree.Count <= logits.First + logits.Count;

    /// <summary>Whether a path goes on to a child whose token was chosen, and from which something can be chosen.</summary>
    private bool Continues(in RowList tree, ReadOnlySpan<int> path, int i, RowBatch batch, ReadOnlySpan<RowAnswer> answers)
    {
        var node = path[i];
        if (i == 0)
        {
            return node == 0;
        }

        return (uint)node < (uint)tree.Count && _parents[tree.First + node] == path[i - 1] && float.IsFinite(answers[tree.First + node].Highest)
            && batch.Tokens[batch.LogitRows[tree.First + node]] == answers[tree.First + path[i - 1]].Chosen;
    }
}
