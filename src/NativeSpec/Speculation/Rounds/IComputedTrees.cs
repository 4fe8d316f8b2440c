namespace NativeSpec.Speculation.Rounds;

/// <summary>What a forward computed for the trees of a round: all that speculation sees of it.</summary>
internal interface IComputedTrees
{
    /// <summary>[vocab] the target's logits at a node.</summary>
    /// <param name="tree">Number of the tree in the round.</param>
    /// <param name="node">A node of the list that <see cref="Speculator.NodesToCompute"/> gave for it.</param>
    ReadOnlySpan<float> Logits(int tree, int node);

    /// <summary>[hidden] the target's hidden state at a node, after the final norm.</summary>
    /// <param name="tree">Number of the tree in the round.</param>
    /// <param name="node">A node of the list that <see cref="Speculator.NodesToCompute"/> gave for it.</param>
    ReadOnlySpan<float> Hidden(int tree, int node);
}

/// <summary>A node of the tree that is computed.</summary>
/// <param name="Parent">Number of its parent among the computed nodes; −1 for the root.</param>
/// <param name="Token">Its token.</param>
internal readonly record struct ComputedNode(int Parent, int Token);
