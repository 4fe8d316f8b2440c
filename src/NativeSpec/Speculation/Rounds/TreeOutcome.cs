using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What became of a round's tree, while the walk finds it out and afterwards.</summary>
/// <param name="tree">The candidates.</param>
/// <param name="computedAs">[candidate] its node in the computed tree; negative where it was left out.</param>
internal sealed class TreeOutcome(DraftTree tree, int[] computedAs) : RoundOutcome, INodeLogits
{
    private readonly int[] _emitted = new int[tree.Capacity + 1];
    private readonly int[] _path = new int[tree.Capacity];
    private readonly int[] _forwardPath = new int[tree.Capacity];
    private IComputedTrees? _computed;
    private int _treeInRound;
    private int _emittedCount;
    private int _pathCount;

    public override DraftTree Tree => tree;

    public override ReadOnlySpan<int> Emitted => _emitted.AsSpan(0, _emittedCount);

    public override ReadOnlySpan<int> AcceptedPath => _path.AsSpan(0, _pathCount);

    public ReadOnlySpan<int> ForwardPath => _forwardPath.AsSpan(0, _pathCount);

    public void Begin(IComputedTrees computed, int treeInRound)
    {
        (_computed, _treeInRound) = (computed, treeInRound);
        (_emittedCount, _pathCount) = (0, 0);
        Accept(0);
    }

    public void Accept(int node)
    {
        _path[_pathCount] = node;
        _forwardPath[_pathCount++] = computedAs[node];
    }

    public void Emit(int token) => _emitted[_emittedCount++] = token;

    public override bool WasComputed(int node) => (uint)node < (uint)tree.Count && computedAs[node] >= 0;

    public override ReadOnlySpan<float> Logits(int node) => _computed!.Logits(_treeInRound, NumberOf(node));

    public override ReadOnlySpan<float> Hidden(int node) => _computed!.Hidden(_treeInRound, NumberOf(node));

    private int NumberOf(int node) => WasComputed(node)
        ? computedAs[node]
        : throw new ArgumentException($"node {node} was not computed; ask {nameof(WasComputed)} first", nameof(node));
}
