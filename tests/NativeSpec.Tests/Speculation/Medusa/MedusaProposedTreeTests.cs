using NativeSpec.Speculation.Medusa;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>Which paths of the heads' ranks stand in a tree.</summary>
public sealed class MedusaProposedTreeTests : MedusaFixture
{
    [Test]
    public void Propose_AStaticTree_PutsEachRankOfEachHeadAtItsPath()
    {
        var vocabs = Enumerable.Range(0, 4).Select(_ => Random(Vocab * Hidden)).ToArray();
        var layout = MedusaTrees.Get("mc_sim_7b_63");
        using var source = Source(Memory.Plain(Hidden, vocabs), new MedusaOptions { Tree = layout });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, root: 5);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var expected = Enumerable.Range(1, 63).Select(node => string.Join(" ", layout.Path(node).Select((rank, depth) => ranked[depth][rank].Token)));
        Assert.That(Enumerable.Range(1, tree.Count - 1).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [Test]
    public void Propose_ASmallBudgetForAStaticTree_LeavesTheUnlikelyOut()
    {
        var layout = MedusaTrees.Get("zephyr_stage2");
        var vocabs = Enumerable.Range(0, 4).Select(_ => Random(Vocab * Hidden)).ToArray();
        using var source = Source(Memory.Plain(Hidden, vocabs), new MedusaOptions { Tree = layout });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, 0, budget: 12);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var expected = Enumerable.Range(1, 63).Select(layout.Path)
            .OrderByDescending(path => path.Select((rank, depth) => ranked[depth][rank].Chance).Aggregate(1.0, (a, b) => a * b)).Take(12)
            .Select(path => string.Join(" ", path.Select((rank, depth) => ranked[depth][rank].Token)));
        Assert.That(Enumerable.Range(1, 12).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [Test]
    public void Propose_WithADynamicTree_TakesTheLikeliestPaths([Values(1, 2, 7, 30)] int budget)
    {
        var vocabs = Enumerable.Range(0, 3).Select(_ => Random(Vocab * Hidden)).ToArray();
        using var source = Source(Memory.Plain(Hidden, vocabs), new MedusaOptions { TopK = 6 });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, root: 5, budget: budget);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var all = new List<(string Path, double Chance)> { ("", 1) };
        for (int at = 0, depth; at < all.Count; at++)
        {
            depth = all[at].Path.Length == 0 ? 0 : all[at].Path.Split(' ').Length;
            all.AddRange(depth < 3 ? ranked[depth].Take(6).Select(next => ($"{all[at].Path} {next.Token}".Trim(), all[at].Chance * next.Chance)) : []);
        }

        var expected = all.Skip(1).OrderByDescending(path => path.Chance).Take(budget).Select(path => path.Path);
        Assert.That(Enumerable.Range(1, tree.Count - 1).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [TestCase(3, 2, 8, 3)]
    [TestCase(100, 1, 100, 10)]
    [TestCase(100, 0, 100, 0)]
    [TestCase(0, 4, 100, 0)]
    [TestCase(100, 4, 6, 5)]
    public void Propose_BudgetDepthAndCapacity_AreKept(int budget, int maxDepth, int capacity, int added)
    {
        using var source = Source(Memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)), new MedusaOptions { Tree = MedusaTrees.Parse("t", "[[0],[1],[2],[3],[4],[5],[6],[7],[8],[9],[0,0],[0,1]]") });
        var tree = Propose(source, Random(Hidden), 0, budget, maxDepth, capacity);
        Assert.That(tree.Count - 1, Is.EqualTo(added));
    }
}
