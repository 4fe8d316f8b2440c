using NativeSpec.Speculation.TreeLayouts;
using NativeSpec.Tests.Loading;

namespace NativeSpec.Tests.Speculation.TreeLayouts;

/// <summary>Both ways to the best tree against all trees there are.</summary>
public sealed class TreeOptimizerTests
{
    [Test]
    public void GreedyAndDynamicProgramming_SmallBudgets_AreTheBestOfAllTrees([Range(0, 19)] int seed)
    {
        var acceptance = RandomTable(seed, depths: 1 + (seed % 3), ranks: 3);
        for (var nodes = 2; nodes <= 6; nodes++)
        {
            for (var depth = 1; depth <= 3; depth++)
            {
                var best = AllTrees(acceptance, nodes, depth).Max();
                var optimal = new OptimalTrees(acceptance, nodes, depth);
                using (Assert.EnterMultipleScope())
                {
                    Assert.That(optimal.ExpectedTokens(nodes), Is.EqualTo(best).Within(1e-12), $"table, {nodes} nodes, {depth} deep");
                    Assert.That(acceptance.ExpectedTokens(optimal.Layout(nodes)!), Is.EqualTo(best).Within(1e-12), "the tree that the table names");
                    Assert.That(acceptance.ExpectedTokens(TreeOptimizer.Greedy(acceptance, nodes, depth)), Is.EqualTo(best).Within(1e-12), "greedy");
                    Assert.That(optimal.Layout(nodes)!.Count, Is.LessThanOrEqualTo(nodes));
                    Assert.That(optimal.Layout(nodes)!.Depth, Is.LessThanOrEqualTo(depth));
                }
            }
        }
    }

    [Test]
    public void OptimalTrees_OneTable_HoldsTheBestOfEverySize()
    {
        var acceptance = RandomTable(5, depths: 4, ranks: 10);
        var all = new OptimalTrees(acceptance, 64, 4);
        for (var nodes = 2; nodes <= 64; nodes++)
        {
            Assert.That(all.ExpectedTokens(nodes), Is.EqualTo(acceptance.ExpectedTokens(TreeOptimizer.Greedy(acceptance, nodes, 4))).Within(1e-9), $"{nodes} nodes");
        }

        Assert.That(all.ExpectedTokens(1), Is.EqualTo(1));
        Assert.That(all.Layout(1), Is.Null);
    }

    [Test]
    public void OptimalTrees_ATableThatIsTooLarge_IsRefused()
    {
        var acceptance = new AcceptanceTable([.. Enumerable.Repeat(new double[4096], 4)]);
        Assert.That(() => new OptimalTrees(acceptance, 4096, 4), Throws.ArgumentException.With.Message.Contains("make a table of 67125248 cells"));
    }

    /// <summary>Medusa's published head accuracies: top-1 alone makes a chain of 0.56, 0.56·0.316, ….</summary>
    [Test]
    public void Greedy_AChainOfSureHeads_IsAChain()
    {
        var acceptance = new AcceptanceTable([[0.56], [0.316], [0.201], [0.147]]);
        var layout = TreeOptimizer.Greedy(acceptance, 64);
        Assert.That(layout.Parents.ToArray(), Is.EqualTo(new[] { -1, 0, 1, 2, 3 }));
        Assert.That(acceptance.ExpectedTokens(layout), Is.EqualTo(1 + 0.56 + (0.56 * 0.316) + (0.56 * 0.316 * 0.201) + (0.56 * 0.316 * 0.201 * 0.147)).Within(1e-12));
    }

    [Test]
    public void Greedy_MeasuredNoise_TakesTheBetterRankFirst()
    {
        // Rank 2 was right more often than rank 1: an expansion by next siblings would need rank 1 first.
        var layout = TreeOptimizer.Greedy(new AcceptanceTable([[0.5, 0.1, 0.3]]), 3);
        Assert.That(layout.Ranks.ToArray(), Is.EqualTo(new[] { -1, 0, 2 }));
    }

    [Test]
    public void Greedy_RanksThatAreNeverRight_AreLeftOut() =>
        Assert.That(TreeOptimizer.Greedy(new AcceptanceTable([[0.5, 0], [0, 0]]), 10).Count, Is.EqualTo(2));

    [Test]
    public void Best_AgainstAllSizesAndDepths_IsTheFastest([Range(0, 9)] int seed)
    {
        var acceptance = RandomTable(seed, depths: 3, ranks: 3);
        var random = new Random(seed);
        var verify = Enumerable.Range(0, 6).Select(n => 1 + (n * random.NextDouble() * 0.2)).ToArray();
        var draft = random.NextDouble() * 0.2;

        var best = TreeOptimizer.Best(acceptance, verify, draft);

        var expected = 1 / verify[0];
        for (var nodes = 2; nodes <= 6; nodes++)
        {
            for (var depth = 1; depth <= 3; depth++)
            {
                expected = Math.Max(expected, AllTrees(acceptance, nodes, depth).Max() / (verify[nodes - 1] + (depth * draft)));
            }
        }

        Assert.That(best.TokensPerTime, Is.EqualTo(expected).Within(1e-12));
        Assert.That(best.Layout is null ? 1 : acceptance.ExpectedTokens(best.Layout), Is.EqualTo(best.ExpectedTokens).Within(1e-12));
    }

    [Test]
    public void Best_WhereNothingPays_IsPlainDecoding()
    {
        var best = TreeOptimizer.Best(new AcceptanceTable([[0.1]]), [1, 2, 3], 0.5);
        Assert.That(best, Is.EqualTo(new TreeChoice(null, 1, 1)));
    }

    [TestCase(new double[0])]
    [TestCase(new[] { 1.0, 0 })]
    [TestCase(new[] { 1.0, double.NaN })]
    public void Best_TimesThatAreNone_AreRefused(double[] times) =>
        Assert.That(() => TreeOptimizer.Best(new AcceptanceTable([[0.1]]), times, 0), Throws.ArgumentException);

    [TestCase("[[0.5, 0.2], [0.3]]", 2)]
    [TestCase("[[1]]", 1)]
    public void AcceptanceTable_AFile_IsRead(string json, int depths)
    {
        var table = AcceptanceTable.Parse("a.json", System.Text.Encoding.UTF8.GetBytes(json));
        Assert.That(table.Depths, Is.EqualTo(depths));
        Assert.That(table[1, 7] + table[9, 0], Is.Zero, "nothing was measured there");
    }

    [TestCase("[]", "a table of 0 depths")]
    [TestCase("[[]]", "depth 1 has 0 acceptances")]
    [TestCase("[[0.5], [1.5]]", "depth 2 has 1 acceptances")]
    [TestCase("[[-0.1]]", "depth 1")]
    [TestCase("[[0.6, 0.6]]", "add up to 1.2")]
    [TestCase("[[1e999]]", "a.json")]
    [TestCase("[[\"x\"]]", "is not a table of acceptances")]
    [TestCase("{}", "is not a table of acceptances")]
    [TestCase("[0.5]", "is not a table of acceptances")]
    [TestCase("", "is not a table of acceptances")]
    public void AcceptanceTable_WhatIsNoTable_IsRefused(string json, string fact) =>
        LoadingTestFiles.Refused(() => AcceptanceTable.Parse("a.json", System.Text.Encoding.UTF8.GetBytes(json)), "a.json", fact);

    private static AcceptanceTable RandomTable(int seed, int depths, int ranks)
    {
        var random = new Random(seed);
        return new AcceptanceTable([.. Enumerable.Range(0, depths).Select(_ =>
        {
            var weights = Enumerable.Range(0, ranks).Select(_ => 0.01 + random.NextDouble()).ToArray();
            return weights.Select(weight => weight / (weights.Sum() * 1.1)).ToArray();
        })]);
    }

    /// <summary>The expected tokens of every tree of this many nodes or fewer: grown a node at a time, each node after those before it in
    /// the order of all paths, so that every set of nodes comes up once.</summary>
    private static IEnumerable<double> AllTrees(AcceptanceTable acceptance, int nodes, int depth)
    {
        var paths = new List<int[]> { Array.Empty<int>() };
        for (var at = 0; at < paths.Count; at++)
        {
            var path = paths[at];
            if (path.Length < Math.Min(depth, acceptance.Depths))
            {
                paths.AddRange(Enumerable.Range(0, acceptance.Ranks(path.Length + 1)).Select(rank => (int[])[.. path, rank]));
            }
        }

        return Grow([""], 1, 1);

        IEnumerable<double> Grow(HashSet<string> tree, int from, double tokens)
        {
            yield return tokens;
            for (var at = from; at < paths.Count && tree.Count < nodes; at++)
            {
                if (!tree.Contains(string.Join(",", paths[at][..^1])))
                {
                    continue;
                }

                var chance = paths[at].Select((rank, i) => acceptance[i + 1, rank]).Aggregate(1.0, (a, b) => a * b);
                foreach (var larger in Grow([.. tree, string.Join(",", paths[at])], at + 1, tokens + chance))
                {
                    yield return larger;
                }
            }
        }
    }
}
