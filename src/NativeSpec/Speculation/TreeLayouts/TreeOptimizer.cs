namespace NativeSpec.Speculation.TreeLayouts;

/// <summary>A tree and what it is expected to do.</summary>
/// <param name="Layout">The tree; null where decoding one token at a time is best.</param>
/// <param name="ExpectedTokens">Tokens per round.</param>
/// <param name="TokensPerTime">Tokens per unit of the times that were given.</param>
public sealed record TreeChoice(TreeLayout? Layout, double ExpectedTokens, double TokensPerTime);

/// <summary>Finds static trees that yield the most tokens for a number of nodes, from measured acceptance.</summary>
public static class TreeOptimizer
{
    /// <summary>Medusa's way (Cai et al., 2024, section 3.3): to a tree that is only a root, add again and again the node whose path is
    /// most likely to be right. The likelihood never grows along a path, so these are the likeliest paths there are, and the tree is the
    /// best of its size, as long as places do not depend on each other, which is what <see cref="AcceptanceTable"/> says.</summary>
    /// <param name="acceptance">What was measured.</param>
    /// <param name="nodes">Nodes to use, the root included; fewer are used where further ones would never be right.</param>
    /// <param name="maxDepth">Deepest node: the heads that there are.</param>
    /// <exception cref="ArgumentException">No node can be added.</exception>
    public static TreeLayout Greedy(AcceptanceTable acceptance, int nodes, int maxDepth = TreeLayout.MaxDepth)
    {
        Check(acceptance, nodes, maxDepth);
        var depths = Math.Min(maxDepth, acceptance.Depths);
        var order = Enumerable.Range(1, depths).Select(acceptance.RanksByWorth).ToArray();
        var frontier = new PriorityQueue<(int[] Parent, int Place, double Above), (double Unlikely, int Age)>();
        var age = 0;
        var paths = new List<int[]>();
        Join([], 0, 1);
        while (paths.Count < nodes - 1 && frontier.TryDequeue(out var next, out var priority) && priority.Unlikely < 0)
        {
            int[] path = [.. next.Parent, order[next.Parent.Length][next.Place]];
            paths.Add(path);
            Join(next.Parent, next.Place + 1, next.Above);
            Join(path, 0, -priority.Unlikely);
        }

        return TreeLayout.FromChoices($"greedy-{paths.Count + 1}", paths);

        void Join(int[] parent, int place, double above)
        {
            if (parent.Length < depths && place < order[parent.Length].Length)
            {
                frontier.Enqueue((parent, place, above), (-above * acceptance[parent.Length + 1, order[parent.Length][place]], age++));
            }
        }
    }

    /// <summary>The tree that yields the most tokens per time, over all numbers of nodes and all depths (Chen et al., Sequoia, 2024,
    /// section 3.3).</summary>
    /// <param name="acceptance">What was measured.</param>
    /// <param name="verifyTime">[n] the time to verify a tree of n + 1 nodes, measured: [0] is that of plain decoding.</param>
    /// <param name="draftTime">The time to draft one more level of the tree.</param>
    /// <param name="maxDepth">Deepest node.</param>
    public static TreeChoice Best(AcceptanceTable acceptance, IReadOnlyList<double> verifyTime, double draftTime, int maxDepth = TreeLayout.MaxDepth)
    {
        ArgumentNullException.ThrowIfNull(verifyTime);
        Check(acceptance, Math.Max(verifyTime.Count, 2), maxDepth);
        if (verifyTime.Count == 0 || !verifyTime.All(time => time > 0 && double.IsFinite(time)) || !(draftTime >= 0))
        {
            throw new ArgumentException($"{verifyTime.Count} verify times and a draft time of {draftTime}; expected positive times, the "
                + "first that of one node", nameof(verifyTime));
        }

        var best = new TreeChoice(null, 1, 1 / verifyTime[0]);
        for (var depth = 1; depth <= Math.Min(maxDepth, acceptance.Depths) && verifyTime.Count > 1; depth++)
        {
            var trees = new OptimalTrees(acceptance, verifyTime.Count, depth);
            for (var nodes = 2; nodes <= verifyTime.Count; nodes++)
            {
                var rate = trees.ExpectedTokens(nodes) / (verifyTime[nodes - 1] + (depth * draftTime));
                if (rate > best.TokensPerTime && trees.Layout(nodes) is { } layout)
                {
                    best = new TreeChoice(layout, trees.ExpectedTokens(nodes), rate);
                }
            }
        }

        return best;
    }

    internal static void Check(AcceptanceTable acceptance, int nodes, int maxDepth)
    {
        ArgumentNullException.ThrowIfNull(acceptance);
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nodes, TreeLayout.MaxNodes);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxDepth, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxDepth, TreeLayout.MaxDepth);
    }
}
