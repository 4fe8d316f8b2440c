namespace NativeSpec.Speculation;

/// <summary>What one drafter proposes in one round: keeps to the budget, and ranks the children of a node in the order in which they are
/// proposed.</summary>
/// <remarks>A candidate that another drafter has in the tree already costs nothing, because it is computed once. Allocates when it meets
/// a larger tree than before, and not otherwise.</remarks>
internal sealed class OwnCandidates
{
    private int[] _children = [];
    private bool[] _isOwn = [];
    private DraftTree _tree = new(1, 1);
    private int _left;
    private int _maxDepth;

    /// <summary>Whether the budget is used up.</summary>
    public bool IsFull => _left <= 0;

    /// <summary>Begins a round.</summary>
    public void Begin(DraftContext context, DraftTree tree)
    {
        if (_children.Length < tree.Capacity)
        {
            _children = new int[tree.Capacity];
            _isOwn = new bool[tree.Capacity];
        }

        Array.Clear(_children);
        Array.Clear(_isOwn);
        _tree = tree;
        _maxDepth = context.MaxDepth;
        _left = _maxDepth > 0 ? context.Budget : 0;
    }

    /// <summary>Proposes a token after a node.</summary>
    /// <returns>The node; −1 if the tree or the budget has no room for it, or it would be too deep to be used.</returns>
    public int Add(int parent, int token, float confidence)
    {
        var node = _tree.FindChild(parent, token);
        if (node < 0 && (IsFull || _tree.Depth(parent) >= _maxDepth))
        {
            return -1;
        }

        if (node >= 0 && _isOwn[node])
        {
            return node;
        }

        var before = _tree.Count;
        node = _tree.Add(parent, token, _children[parent], confidence);
        if (node >= 0)
        {
            _children[parent]++;
            _isOwn[node] = true;
            _left -= _tree.Count - before;
        }

        return node;
    }
}
