namespace NativeSpec.Speculation;

/// <summary>Judges the proposals of one sequence: before a round by the estimates, after it by what the text became.</summary>
/// <param name="estimates">What is known of acceptance.</param>
/// <param name="tree">The candidates.</param>
/// <param name="drafters">Who proposes.</param>
internal sealed class ProposalJudge(AcceptanceEstimates estimates, DraftTree tree, DrafterSlot[] drafters)
{
    /// <summary>The probability that a node is right if its parent is: the estimate of the proposer that is surest, agreement counted in.</summary>
    public double Estimate(int node)
    {
        var surest = 0.0;
        for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            surest = Math.Max(surest, EstimateOf(node, tree.ProposalAt(i)));
        }

        return surest;
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
                estimates.Observe(drafters[proposal.Drafter].Number, depth, proposal.Rank, proposal.Confidence, right, IsAgreed(node));
                stats.Of(proposal.Drafter).Judge(depth, proposal.Rank, right);
            }
        }
    }

    /// <summary>This drafter's part of the accepted nodes. Of the probability that a path is right, each of its drafters has what it adds to
    /// those that cost less: who proposes what a cheaper one was sure of has no merit, and who is sure where that one guessed has most of it.</summary>
    /// <param name="drafter">The drafter.</param>
    /// <param name="acceptedPath">The path, the root first.</param>
    /// <param name="price">What a node must promise to be computed: less is worth nothing.</param>
    public double Credit(int drafter, ReadOnlySpan<int> acceptedPath, double price)
    {
        var (credit, all, with, without) = (0.0, 1.0, 1.0, 1.0);
        foreach (var node in acceptedPath[1..])
        {
            var (surest, surestWith, surestWithout) = (0.0, 0.0, 0.0);
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                var (other, estimate) = (tree.ProposalAt(i).Drafter, EstimateOf(node, tree.ProposalAt(i)));
                surest = Math.Max(surest, estimate);
                surestWithout = IsCheaper(other, drafter) ? Math.Max(surestWithout, estimate) : surestWithout;
                surestWith = other == drafter || IsCheaper(other, drafter) ? Math.Max(surestWith, estimate) : surestWith;
            }

            all *= surest;
            with *= surestWith;
            without *= surestWithout;
            credit += all > 0 ? (Worth(with) - Worth(without)) / all : 0;
        }

        return credit;

        double Worth(double probability) => probability >= price ? probability : 0;
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

    private bool IsCheaper(int drafter, int than)
    {
        var order = drafters[drafter].Control.SecondsPerRound.CompareTo(drafters[than].Control.SecondsPerRound);
        return order < 0 || (order == 0 && drafter < than);
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

    private bool IsAgreed(int node) => tree.ProposalAt(tree.FirstProposal(node)).Next >= 0;

    private double EstimateOf(int node, in DraftTree.Proposal proposal)
        => estimates.Estimate(drafters[proposal.Drafter].Number, tree.Depth(node), proposal.Rank, proposal.Confidence, IsAgreed(node));
}
