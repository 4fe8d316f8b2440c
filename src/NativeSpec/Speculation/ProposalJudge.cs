namespace NativeSpec.Speculation;

/// <summary>Judges the proposals of one sequence: before a round by the estimates, after it by what the text became.</summary>
/// <param name="estimates">What is known of acceptance.</param>
/// <param name="tree">The candidates.</param>
/// <param name="drafters">Who proposes.</param>
internal sealed class ProposalJudge(AcceptanceEstimates estimates, DraftTree tree, DrafterSlot[] drafters)
{
    /// <summary>The probability that a node is right if its parent is: its proposers' estimates as independent chances.</summary>
    public double Estimate(int node)
    {
        var wrong = 1.0;
        for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            wrong *= 1 - EstimateOf(tree.ProposalAt(i), tree.Depth(node));
        }

        return 1 - wrong;
    }

    /// <summary>Every candidate whose parent is text by now can be judged, computed or not: its token is the next one or it is not.</summary>
    public void Learn(ReadOnlySpan<int> emitted, StatsCounter stats)
    {
        for (var node = 1; node < tree.Count; node++)
        {
            var depth = tree.Depth(node);
            if (depth > emitted.Length || tree.IsProbe(node) || !IsText(tree.Parent(node), emitted))
            {
                continue;
            }

            var right = tree.Token(node) == emitted[depth - 1];
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                ref readonly var proposal = ref tree.ProposalAt(i);
                estimates.Observe(drafters[proposal.Drafter].Number, depth, proposal.Rank, proposal.Confidence, right);
                stats.Of(proposal.Drafter).Judge(depth, proposal.Rank, right);
            }
        }
    }

    /// <summary>The accepted nodes that are this drafter's merit: where several proposed one, it would be there for the least that any of
    /// them costs, so it is the merit of the cheapest.</summary>
    public int Credit(int drafter, ReadOnlySpan<int> acceptedPath)
    {
        var credit = 0;
        foreach (var node in acceptedPath)
        {
            credit += node > 0 && CheapestProposer(node) == drafter ? 1 : 0;
        }

        return credit;
    }

    /// <summary>Whether a drafter had proposed the text's next token, computed or not.</summary>
    public bool WasRight(int drafter, ReadOnlySpan<int> emitted)
    {
        var node = emitted.Length == 0 ? -1 : tree.FindChild(0, emitted[0]);
        for (var i = node < 0 ? -1 : tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            if (tree.ProposalAt(i).Drafter == drafter)
            {
                return true;
            }
        }

        return false;
    }

    private int CheapestProposer(int node)
    {
        var cheapest = tree.ProposalAt(tree.FirstProposal(node)).Drafter;
        for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            var other = tree.ProposalAt(i).Drafter;
            cheapest = drafters[other].Control.SecondsPerRound < drafters[cheapest].Control.SecondsPerRound ? other : cheapest;
        }

        return cheapest;
    }

    private bool IsText(int node, ReadOnlySpan<int> emitted)
    {
        for (; node > 0; node = tree.Parent(node))
        {
            if (tree.Token(node) != emitted[tree.Depth(node) - 1])
            {
                return false;
            }
        }

        return true;
    }

    private double EstimateOf(in DraftTree.Proposal proposal, int depth)
        => estimates.Estimate(drafters[proposal.Drafter].Number, depth, proposal.Rank, proposal.Confidence);
}
