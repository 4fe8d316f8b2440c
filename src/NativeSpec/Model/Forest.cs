namespace NativeSpec.Model;

/// <summary>What one forward computes: a token tree for each of several sequences.</summary>
internal sealed class Forest
{
    private readonly Entry[] _entries;

    /// <summary>Makes an empty forest for up to <paramref name="maxTrees"/> sequences.</summary>
    public Forest(int maxTrees)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTrees, 1);
        _entries = new Entry[maxTrees];
    }

    /// <summary>Trees in the forest.</summary>
    public int Count { get; private set; }

    /// <summary>Nodes of all trees that are to be computed.</summary>
    public int RowCount { get; private set; }

    /// <summary>Nodes whose logits are wanted.</summary>
    public int LogitCount { get; private set; }

    /// <summary>Removes all trees.</summary>
    public void Clear()
    {
        Array.Clear(_entries, 0, Count);
        Count = 0;
        RowCount = 0;
        LogitCount = 0;
    }

    /// <summary>Adds a sequence's tree and returns its number.</summary>
    /// <param name="sequence">Where the tree's keys and values go; at most one tree per sequence.</param>
    /// <param name="tree">Its nodes; not changed until the forward is done.</param>
    /// <param name="firstLogitNode">Logits are computed for the nodes from this one on: 0 to verify a tree, Count − 1 for the last token of
    /// a prompt, Count for none.</param>
    /// <param name="firstNode">The nodes before this one were computed by earlier forwards, with the same prefix, and nothing was committed
    /// since: they are seen and not computed again. So a tree can grow level by level, but not one along which a device has walked (<see cref="KvSequence.Walked"/>):
    /// keys and values of its path lie in other nodes' slots, and the forward refuses it.</param>
    /// <param name="choices">How the tree's rows are to be chosen from; null where nothing is chosen.</param>
    public int Add(KvSequence sequence, TokenTree tree, int firstLogitNode, int firstNode = 0, IRowChoices? choices = null)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        ArgumentNullException.ThrowIfNull(tree);
        ArgumentOutOfRangeException.ThrowIfZero(tree.Count);
        ArgumentOutOfRangeException.ThrowIfNegative(firstNode);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(firstNode, tree.Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(firstLogitNode, firstNode);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstLogitNode, tree.Count);
        if (Count == _entries.Length)
        {
            throw new InvalidOperationException($"the forest is full: {Count} trees");
        }

        _entries[Count] = new Entry(sequence, tree, firstNode, firstLogitNode, LogitCount, choices);
        RowCount += tree.Count - firstNode;
        LogitCount += tree.Count - firstLogitNode;
        return Count++;
    }

    /// <summary>The number under which <see cref="IForwardResult"/> has a node.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The logits of this node were not asked for.</exception>
    public int LogitRow(int tree, int node)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)tree, (uint)Count);
        var entry = _entries[tree];
        ArgumentOutOfRangeException.ThrowIfLessThan(node, entry.FirstLogitNode);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(node, entry.Tree.Count);
        return entry.FirstLogitRow + node - entry.FirstLogitNode;
    }

    /// <summary>The choices of the tree that a row belongs to, and the row's node in it.</summary>
    internal (IRowChoices? Choices, int Node) ChoicesOf(int logitRow)
    {
        foreach (ref readonly var entry in Entries)
        {
            if (logitRow - entry.FirstLogitRow is var at && at >= 0 && at < entry.Tree.Count - entry.FirstLogitNode)
            {
                return (entry.Choices, entry.FirstLogitNode + at);
            }
        }

        throw new ArgumentOutOfRangeException(nameof(logitRow), logitRow, $"the forest has {LogitCount} rows");
    }

    internal ReadOnlySpan<Entry> Entries => _entries.AsSpan(0, Count);

    internal readonly record struct Entry(KvSequence Sequence, TokenTree Tree, int FirstNode, int FirstLogitNode, int FirstLogitRow, IRowChoices? Choices);
}
