namespace NativeSpec.Speculation.Verification;

/// <summary>A node that is computed.</summary>
/// <param name="Parent">Number of its parent among the computed nodes; −1 for the root.</param>
/// <param name="Token">Its token.</param>
/// <param name="FollowsToken">Whether the text goes on to it wherever its token is chosen after its parent: not to a probe, nor where the residual walk decides.</param>
internal readonly record struct PlannedNode(int Parent, int Token, bool FollowsToken);

/// <summary>Which nodes of one sequence's candidates are computed, in the order of their rows: a parent before its children.</summary>
internal sealed class PlannedTree(DraftTree tree)
{
    private const int LeftOut = -1;

    private readonly int[] _numbers = new int[tree.Capacity]; // [node] its place among the computed nodes
    private readonly PlannedNode[] _nodes = new PlannedNode[tree.Capacity];
    private int _most;

    /// <summary>The candidates.</summary>
    public DraftTree Tree => tree;

    /// <summary>[node] how likely the node is accepted, by what was known when the choice was made.</summary>
    public double[] PathProbability { get; } = new double[tree.Capacity];

    /// <summary>Nodes chosen so far.</summary>
    public int Count { get; private set; }

    /// <summary>Begins with what is computed in any case.</summary>
    /// <param name="most">Most nodes; only forced ones may be more.</param>
    public void Begin(int most)
    {
        (_most, Count) = (most, 0);
        for (var node = 0; node < tree.Count; node++)
        {
            _numbers[node] = tree.IsForced(node) ? Count++ : LeftOut;
        }
    }

    /// <summary>Chooses a node, unless there are enough or its parent is left out.</summary>
    public void Choose(int node)
    {
        if (Count < _most && !Contains(node) && Contains(tree.Parent(node)))
        {
            _numbers[node] = Count++;
        }
    }

    /// <summary>Ends the choice: numbers the chosen nodes in the order of the tree, and returns them.</summary>
    public ReadOnlySpan<PlannedNode> End()
    {
        Count = 0;
        for (var node = 0; node < tree.Count; node++)
        {
            if (_numbers[node] != LeftOut)
            {
                _nodes[Count] = node == 0
                    ? new PlannedNode(-1, tree.Token(0), FollowsToken: false)
                    : new PlannedNode(_numbers[tree.Parent(node)], tree.Token(node), !tree.IsProbe(node) && !tree.HasDrawn(tree.Parent(node)));
                _numbers[node] = Count++;
            }
        }

        return Nodes;
    }

    /// <summary>The chosen nodes, parents first.</summary>
    public ReadOnlySpan<PlannedNode> Nodes => _nodes.AsSpan(0, Count);

    /// <summary>Whether the node is computed.</summary>
    public bool Contains(int node) => (uint)node < (uint)tree.Count && _numbers[node] != LeftOut;

    /// <summary>A node's place among the computed ones.</summary>
    /// <exception cref="ArgumentException">It was left out.</exception>
    public int NumberOf(int node) => Contains(node)
        ? _numbers[node]
        : throw new ArgumentException($"node {node} was not computed; ask {nameof(RoundOutcome.WasComputed)} first", nameof(node));
}
