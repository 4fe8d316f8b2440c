using NativeSpec.Model;

namespace NativeSpec.Speculation.Verification;

/// <summary>The path that a walk took along a computed tree, and the rows it read: what became of a round. <see cref="Verifier.Walk"/>
/// fills it anew each round.</summary>
internal sealed class WalkResult(PlannedTree planned) : RoundOutcome, IHiddenRows
{
    private readonly int[] _emitted = new int[planned.Tree.Capacity + 1];
    private readonly int[] _path = new int[planned.Tree.Capacity];
    private readonly int[] _committed = new int[planned.Tree.Capacity];
    private IForwardResult? _rows;
    private int _firstRow;
    private int _emittedCount;
    private int _pathCount;

    public override DraftTree Tree => planned.Tree;

    /// <summary>What was computed of the tree.</summary>
    public PlannedTree Planned => planned;

    public override ReadOnlySpan<int> Emitted => _emitted.AsSpan(0, _emittedCount);

    public override ReadOnlySpan<int> AcceptedPath => _path.AsSpan(0, _pathCount);

    /// <summary>The accepted path as numbers of computed nodes, the root first: what the cache commits.</summary>
    public ReadOnlySpan<int> CommittedPath => _committed.AsSpan(0, _pathCount);

    /// <summary>The rows of the forward.</summary>
    public IForwardResult Rows => _rows ?? throw new InvalidOperationException("there has been no walk");

    public override bool WasComputed(int node) => planned.Contains(node);

    public override ReadOnlySpan<float> Logits(int node) => Rows.Logits(RowOf(node));

    public override void Likeliest(int node, Span<int> ids)
    {
        var count = Rows.Top(RowOf(node), ids);
        ids[count..].Fill(-1);
    }

    public override ReadOnlySpan<float> Hidden(int node) => HiddenRow(node).Values;

    /// <summary>The hidden state of a computed node, where it lies.</summary>
    public HiddenRow HiddenRow(int node) => Rows.Hidden(RowOf(node));

    /// <summary>A computed node's row of the forward.</summary>
    public int RowOf(int node) => _firstRow + planned.NumberOf(node);

    internal void Begin(IForwardResult rows, int firstRow)
    {
        (_rows, _firstRow) = (rows, firstRow);
        (_emittedCount, _pathCount) = (0, 0);
        Accept(0);
    }

    internal void Accept(int node)
    {
        _path[_pathCount] = node;
        _committed[_pathCount++] = planned.NumberOf(node);
    }

    internal void Emit(int token) => _emitted[_emittedCount++] = token;
}
