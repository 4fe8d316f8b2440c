using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

/// <summary>One proposal for a given text, for tests that look at a single tree.</summary>
internal static class DraftRound
{
    public static DraftTree Propose(IDrafter drafter, int[] text, int budget = 64, int maxDepth = 64, int probes = 0, int capacity = 256)
    {
        var tree = new DraftTree(capacity, vocabSize: 1000, text[^1], maxDepth);
        drafter.Propose(new DraftContext(text, budget, maxDepth, probes), tree);
        return tree;
    }

    /// <summary>The paths from the root to the leaves, in the order of the leaves.</summary>
    public static string[] Paths(DraftTree tree)
    {
        var isLeaf = Enumerable.Repeat(true, tree.Count).ToArray();
        for (var node = 1; node < tree.Count; node++)
        {
            isLeaf[tree.Parent(node)] = false;
        }

        return [.. Enumerable.Range(1, tree.Count - 1).Where(node => isLeaf[node]).Select(node => PathTo(tree, node))];
    }

    /// <summary>Rank and confidence of a node's only proposal.</summary>
    public static (int Rank, float Confidence) Proposal(DraftTree tree, int node)
    {
        ref readonly var proposal = ref tree.ProposalAt(tree.FirstProposal(node));
        return (proposal.Rank, proposal.Confidence);
    }

    private static string PathTo(DraftTree tree, int node)
        => (tree.Parent(node) > 0 ? PathTo(tree, tree.Parent(node)) + " " : "") + tree.Token(node);
}
