using System.Numerics;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Speculation.Planning;

/// <summary>Judges the proposals of one sequence: before a round by the estimates, after it by what the text became.</summary>
/// <remarks>Most questions can be asked about a set of drafters, as if only these had proposed: a bit for each, <see cref="Bit"/>.</remarks>
/// <param name="estimates">What is known of each drafter's proposals by themselves.</param>
/// <param name="mixer">What is known of nodes that several drafters speak of.</param>
/// <param name="tree">The candidates.</param>
/// <param name="numbers">[drafter] the number under which its acceptance is known.</param>
internal sealed class ProposalJudge(AcceptanceEstimates estimates, LogisticMixer mixer, DraftTree tree, int[] numbers)
{
    /// <summary>All drafters.</summary>
    public const uint Everyone = uint.MaxValue;

    private readonly double[] _own = new double[2 * tree.Capacity]; // [proposal] its drafter's own estimate, as a logit
    private int _known;                                             // proposals whose estimate is there

    /// <summary>A drafter in a set; those past the last bit share it.</summary>
    public static uint Bit(int drafter) => 1u << Math.Min(drafter, BitOperations.Log2(Everyone));

    /// <summary>Begins with an empty tree. Until the next round a proposal's own estimate stays what it was when it was first asked for.</summary>
    public void BeginRound() => _known = 0;

    /// <summary>The probability that a node is right if its parent is.</summary>
    public double Estimate(int node, uint drafters = Everyone) => mixer.Estimate(Said(tree.Parent(node), node, Evidence.None, drafters));

    /// <summary>The same for a node that a drafter might propose, its proposal included.</summary>
    public double EstimateWith(int drafter, int parent, int token, int rank, float confidence)
    {
        var own = estimates.Logit(numbers[drafter], tree.Depth(parent) + 1, rank, confidence);
        return mixer.Estimate(Said(parent, tree.FindChild(parent, token), Evidence.None.With(numbers[drafter], own), Everyone));
    }

    /// <summary>The probability of the likeliest child of a node, if the node is right.</summary>
    public double LikeliestBelow(int parent)
    {
        var likeliest = 0.0;
        for (var node = tree.FirstChild(parent); node >= 0; node = tree.NextSibling(node))
        {
            likeliest = Math.Max(likeliest, Estimate(node));
        }

        return likeliest;
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
            mixer.Observe(Said(tree.Parent(node), node, Evidence.None, Everyone), right);
            for (var i = tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
            {
                ref readonly var proposal = ref tree.ProposalAt(i);
                estimates.Observe(numbers[proposal.Drafter], depth, proposal.Rank, proposal.Confidence, right);
                stats.Of(proposal.Drafter).Judge(depth, proposal.Rank, right);
            }
        }
    }

    /// <summary>What a set of drafters was worth in a round: the tokens that the planner would have gained from their candidates alone, less
    /// what computing these would have cost.</summary>
    /// <remarks>A candidate of path probability p is computed where p is above its price, and p − price is what may be expected of it. Only
    /// candidates that became text are counted here, each with 1 − price/p: that has the same expectation, because p of them do.</remarks>
    /// <param name="drafters">The set.</param>
    /// <param name="emitted">The tokens that the round wrote.</param>
    /// <param name="prices">What the first, second, … candidate of a tree must promise to be computed, in tokens.</param>
    public double Worth(uint drafters, ReadOnlySpan<int> emitted, ReadOnlySpan<double> prices)
    {
        var (worth, path, node) = (0.0, 1.0, 0);
        for (var i = 0; i < emitted.Length && (node = tree.FindChild(node, emitted[i])) >= 0; i++)
        {
            path *= Estimate(node, drafters);
            if (path == 0)
            {
                break;
            }

            worth += Math.Max(1 - (prices[i] / path), 0);
        }

        return worth;
    }

    /// <summary>Shares out what all were worth: each has what it added to those before it, so nobody is paid for repeating a better one.</summary>
    /// <param name="order">Drafters, the most useful first.</param>
    /// <param name="emitted">The tokens that the round wrote.</param>
    /// <param name="prices">As for <see cref="Worth"/>.</param>
    /// <param name="credits">[order] receives what each added, and what it would have been worth alone.</param>
    public void Credit(ReadOnlySpan<int> order, ReadOnlySpan<int> emitted, ReadOnlySpan<double> prices, Span<(double Added, double Alone)> credits)
    {
        var (set, worth) = (0u, 0.0);
        for (var i = 0; i < order.Length; i++)
        {
            var alone = Worth(Bit(order[i]), emitted, prices);
            set |= Bit(order[i]);
            var together = i == 0 ? alone : Worth(set, emitted, prices);
            credits[i] = (together - worth, alone);
            worth = together;
        }
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

    /// <summary>What drafters say about a node, or about one that may come into its place.</summary>
    /// <param name="parent">Its parent.</param>
    /// <param name="node">The node; −1 where it is not in the tree yet.</param>
    /// <param name="said">What is known besides the tree.</param>
    /// <param name="drafters">Who is heard.</param>
    private Evidence Said(int parent, int node, Evidence said, uint drafters)
    {
        for (var i = node < 0 ? -1 : tree.FirstProposal(node); i >= 0; i = tree.ProposalAt(i).Next)
        {
            var drafter = tree.ProposalAt(i).Drafter;
            said = (Bit(drafter) & drafters) == 0 ? said : said.With(numbers[drafter], Own(i));
        }

        for (var sibling = said.Leader < 0 ? -1 : tree.FirstChild(parent); sibling >= 0; sibling = tree.NextSibling(sibling))
        {
            for (var i = sibling == node ? -1 : tree.FirstProposal(sibling); i >= 0; i = tree.ProposalAt(i).Next)
            {
                var drafter = tree.ProposalAt(i).Drafter;
                said = (Bit(drafter) & drafters) == 0 ? said : said.Against(numbers[drafter], Own(i));
            }
        }

        return said;
    }

    private double Own(int proposal)
    {
        for (; _known <= proposal; _known++)
        {
            ref readonly var next = ref tree.ProposalAt(_known);
            _own[_known] = estimates.Logit(numbers[next.Drafter], next.Depth, next.Rank, next.Confidence);
        }

        return _own[proposal];
    }
}
