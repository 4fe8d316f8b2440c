using NativeSpec.Model;
using NativeSpec.Speculation.TreeLayouts;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Medusa;

/// <summary>The candidates of one request. Both kinds of tree grow from the most to the least likely path, its likelihood being the product
/// of the heads' probabilities, until the budget is spent: so what is left out is what is least likely.</summary>
internal sealed class MedusaDrafter(MedusaDrafterSource source, TreeLayout? layout) : IDrafter
{
    // Ordered by likelihood, then by age, so that equal likelihoods give the same tree everywhere.
    private readonly PriorityQueue<Candidate, (float Unlikely, int Age)> _frontier = new();
    private HiddenRow _row;         // where the model left the state, until its next forward
    private float[] _hidden = [];   // [hidden] its values, where the round is not the engine's
    private DraftItem _item;
    private int _age;

    /// <summary>What it may know of the round.</summary>
    public DraftContext Context => _item.Context;

    /// <summary>Its place in the batch.</summary>
    public int Place { get; private set; }

    /// <summary>Heads that it can use.</summary>
    public int Depth { get; private set; }

    public void Propose(DraftContext context, DraftTree tree) => source.ProposeAlone(this, context, tree);

    /// <summary>Begins a round; returns how many of the heads it can use.</summary>
    public int Begin(in DraftItem item, int place, int heads)
    {
        (_item, Place) = (item, place);
        var depth = Math.Min(Math.Min(heads, Context.MaxDepth), layout?.Depth ?? int.MaxValue);
        return Depth = (_hidden.Length == 0 && !_row.IsValid) || Context.Budget < 1 ? 0 : Math.Max(depth, 0);
    }

    /// <summary>Gives the heads the state that chose the text's last token.</summary>
    public void SetState(HeadsModel heads, int row)
    {
        if (_row.IsValid)
        {
            heads.SetState(row, _row);
        }
        else
        {
            heads.SetState(row, _hidden);
        }
    }

    /// <summary>Adds candidates.</summary>
    /// <param name="forward">What the heads say.</param>
    /// <param name="row">Of which hidden state.</param>
    /// <param name="heads">Heads that were computed.</param>
    /// <returns>How likely the first head's likeliest token is right, by what became of others like it.</returns>
    public double Propose(HeadsModel forward, int row, int heads)
    {
        var depth = Math.Min(Depth, heads);
        var chance = forward.Tokens(row, 0).Length == 0
            ? 0 : Context.ChanceOf(parent: 0, forward.Tokens(row, 0)[0], rank: 0, forward.Probabilities(row, 0)[0]);
        _frontier.Clear();
        _age = 0;
        AddChildren(forward, row, new Candidate(Parent: -1, Node: 0, Head: -1, Rank: 0, Above: 1, Likelihood: 1), treeNode: 0, depth);
        for (var added = 0; added < Context.Budget && _frontier.TryDequeue(out var best, out _); added++)
        {
            var (token, confidence) = (forward.Tokens(row, best.Head)[best.Rank], forward.Probabilities(row, best.Head)[best.Rank]);
            var node = _item.Tree.Add(best.Parent, token, best.Rank, confidence);
            if (node >= 0)
            {
                AddChildren(forward, row, best, node, depth);
            }
            else if (!_item.Tree.HasRoomBelow(best.Parent))
            {
                break; // the tree is full
            }

            if (layout is null)
            {
                AddCandidate(forward, row, best.Parent, 0, best.Head, best.Rank + 1, best.Above);
            }
        }

        return chance;
    }

    public void Observe(RoundOutcome outcome)
    {
        if (outcome is WalkResult walk)
        {
            _row = walk.HiddenRow(outcome.AcceptedPath[^1]);
            return;
        }

        var hidden = outcome.Hidden(outcome.AcceptedPath[^1]);
        if (_hidden.Length != hidden.Length)
        {
            _hidden = new float[hidden.Length];
        }

        hidden.CopyTo(_hidden);
    }

    public void Dispose() => _frontier.Clear();

    /// <summary>Of a layout's node all children become candidates; without a layout the first one does, and brings its siblings.</summary>
    private void AddChildren(HeadsModel forward, int row, in Candidate parent, int treeNode, int depth)
    {
        if (parent.Head + 1 >= depth)
        {
            return;
        }

        if (layout is null)
        {
            AddCandidate(forward, row, treeNode, 0, parent.Head + 1, 0, parent.Likelihood);
            return;
        }

        var (begin, end) = layout.Children(parent.Node);
        for (var child = begin; child < end; child++)
        {
            AddCandidate(forward, row, treeNode, child, parent.Head + 1, layout.Ranks[child], parent.Likelihood);
        }
    }

    private void AddCandidate(HeadsModel forward, int row, int treeNode, int layoutNode, int head, int rank, float above)
    {
        if (rank < forward.Tokens(row, head).Length)
        {
            var likelihood = above * forward.Probabilities(row, head)[rank];
            _frontier.Enqueue(new Candidate(treeNode, layoutNode, head, rank, above, likelihood), (-likelihood, _age++));
        }
    }

    /// <summary>A node that may be added.</summary>
    /// <param name="Parent">Its parent in the tree.</param>
    /// <param name="Node">Its node in the layout.</param>
    /// <param name="Head">The head that proposes it: its depth less one.</param>
    /// <param name="Rank">Its place among that head's tokens.</param>
    /// <param name="Above">Product of the probabilities on its parent's path.</param>
    /// <param name="Likelihood">Product of the probabilities on its path.</param>
    private readonly record struct Candidate(int Parent, int Node, int Head, int Rank, float Above, float Likelihood);
}
