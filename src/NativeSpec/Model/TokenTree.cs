namespace NativeSpec.Model;

/// <summary>Tokens in topological order, each with a parent: what one forward computes for one sequence. Node 0, the root, follows the
/// committed prefix; a node sees the prefix, its ancestors and itself.</summary>
/// <remarks>A prompt's chunk is a chain, plain decoding is one node, every way to speculate is a tree. Storage is sized once.</remarks>
internal sealed class TokenTree
{
    private readonly int[] _tokens;
    private readonly int[] _parents;
    private readonly int[] _depths;

    /// <summary>Makes an empty tree for up to <paramref name="capacity"/> nodes.</summary>
    public TokenTree(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        _tokens = new int[capacity];
        _parents = new int[capacity];
        _depths = new int[capacity];
    }

    /// <summary>Most nodes.</summary>
    public int Capacity => _tokens.Length;

    /// <summary>Nodes in the tree.</summary>
    public int Count { get; private set; }

    /// <summary>[nodes] token ids.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Count);

    /// <summary>[nodes] index of the parent, always smaller than the node's own; −1 for the root.</summary>
    public ReadOnlySpan<int> Parents => _parents.AsSpan(0, Count);

    /// <summary>[nodes] distance from the root; a node's position is the prefix length plus its depth.</summary>
    public ReadOnlySpan<int> Depths => _depths.AsSpan(0, Count);

    /// <summary>Removes all nodes.</summary>
    public void Clear() => Count = 0;

    /// <summary>Adds a node and returns its index.</summary>
    /// <param name="parent">An earlier node, or −1 for the first node of an empty tree.</param>
    /// <param name="token">Its token id.</param>
    /// <exception cref="ArgumentOutOfRangeException">The parent is no earlier node.</exception>
    /// <exception cref="InvalidOperationException">The tree is full.</exception>
    public int Add(int parent, int token)
    {
        if (Count == Capacity)
        {
            throw new InvalidOperationException($"the token tree is full: {Capacity} nodes");
        }

        if (Count == 0 ? parent != -1 : (uint)parent >= (uint)Count)
        {
            throw new ArgumentOutOfRangeException(nameof(parent), parent, $"node {Count} needs an earlier node as parent (−1 for the root alone)");
        }

        _tokens[Count] = token;
        _parents[Count] = parent;
        _depths[Count] = parent < 0 ? 0 : _depths[parent] + 1;
        return Count++;
    }

    /// <summary>Adds tokens one under the other, the first as the root if the tree is empty and under the last node otherwise.</summary>
    public void AddChain(ReadOnlySpan<int> tokens)
    {
        foreach (var token in tokens)
        {
            Add(Count - 1, token);
        }
    }
}
