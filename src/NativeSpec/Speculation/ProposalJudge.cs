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

    /// <summary>This drafter's part of the accepted nodes: where several proposed one, they share it as they vouched for it.</summary>
    public double Credit(int drafter, ReadOnlySpan<int> acceptedPath)
    {
        var credit = 0.0;
        foreach (var node in acceptedPath)
        {
            var (all, own) = (0.0, 0.0);
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                var estimate = EstimateOf(tree.ProposalAt(i), tree.Depth(node));
                all += estimate;
                own += tree.ProposalAt(i).Drafter == drafter ? estimate : 0;
            }

            credit += own > 0 ? own / all : 0;
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
