namespace NativeSpec.Speculation.Recycling;

/// <summary>Token recycling for one request.</summary>
/// <remarks>The published tree is a fixed template of 80 nodes. Here the tree is grown best first: a node's reach is the product of the
/// trust in the ranks along its path, and the candidate with the highest reach comes next until the budget is spent; so any budget gets
/// the shape that fits it. Siblings come in order of rank. The queue allocates while the budget still grows.</remarks>
internal sealed class TokenRecyclingSession(SuccessorTable table, int maxDepth) : IDrafter
{
    private readonly OwnCandidates _candidates = new();
    private readonly PriorityQueue<Candidate, float> _queue = new();
    private bool _isChecked; // the table's vocabulary is the model's

    public void Propose(DraftContext context, DraftTree tree)
    {
        _candidates.Begin(context, tree);
        _queue.Clear();
        Enqueue(tree, parent: 0, rank: 0, reach: 1);
        while (!_candidates.IsFull && _queue.TryDequeue(out var candidate, out _))
        {
            var (parent, rank, reach) = candidate;
            var trust = table.Trust(rank);
            var node = _candidates.Add(parent, table.Of(tree.Token(parent))[rank], trust);
            if (node < 0)
            {
                continue;
            }

            Enqueue(tree, parent, rank + 1, reach);
            if (tree.Depth(node) < maxDepth)
            {
                Enqueue(tree, node, 0, reach * trust);
            }
        }
    }

    public void Observe(RoundOutcome outcome)
    {
        var tree = outcome.Tree;
        var path = outcome.AcceptedPath;
        var emitted = outcome.Emitted;
        for (var i = 0; i < Math.Min(path.Length, emitted.Length); i++)
        {
            table.Count(tree.Token(path[i]), emitted[i]);
        }

        // The accepted path is learnt last, because of all the nodes with the same token its context is the one that is true.
        var accepted = 0;
        for (var node = 0; node < tree.Count; node++)
        {
            if (accepted < path.Length && path[accepted] == node)
            {
                accepted++;
            }
            else if (outcome.WasComputed(node))
            {
                Learn(outcome, node);
            }
        }

        foreach (var node in path)
        {
            Learn(outcome, node);
        }
    }

    public void Dispose()
    {
    }

    private void Learn(RoundOutcome outcome, int node)
    {
        if (!_isChecked) // a request has one model
        {
            table.Require(outcome.Logits(node).Length);
            _isChecked = true;
        }

        outcome.Likeliest(node, table.Learn(outcome.Tree.Token(node)));
    }

    /// <summary>Queues the successor of a rank, given the reach of the node that it follows.</summary>
    private void Enqueue(DraftTree tree, int parent, int rank, float reach)
    {
        var successors = table.Of(tree.Token(parent));
        if (rank < successors.Length && successors[rank] >= 0)
        {
            _queue.Enqueue(new Candidate(parent, rank, reach), -reach * table.Trust(rank));
        }
    }

    private readonly record struct Candidate(int Parent, int Rank, float Reach);
}
