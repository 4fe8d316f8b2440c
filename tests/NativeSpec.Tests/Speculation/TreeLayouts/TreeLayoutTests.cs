using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Tests.Speculation.TreeLayouts;

public sealed class TreeLayoutTests
{
    [Test]
    public void FromChoices_AnyOrder_IsOrderedByDepthThenPath()
    {
        var layout = TreeLayout.FromChoices("t", [[0, 1], [2], [0], [0, 0], [0, 1, 0], [2, 3]]);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(layout.Parents.ToArray(), Is.EqualTo(new[] { -1, 0, 0, 1, 1, 2, 4 }));
            Assert.That(layout.Depths.ToArray(), Is.EqualTo(new[] { 0, 1, 1, 2, 2, 2, 3 }));
            Assert.That(layout.Ranks.ToArray(), Is.EqualTo(new[] { -1, 0, 2, 0, 1, 3, 0 }));
            Assert.That((layout.Count, layout.Depth, layout.Width), Is.EqualTo((7, 3, 4)));
            Assert.That(layout.Path(6), Is.EqualTo(new[] { 0, 1, 0 }));
            Assert.That(Enumerable.Range(0, 7).Select(layout.Children), Is.EqualTo(new[] { (1, 3), (3, 5), (5, 6), (6, 6), (6, 7), (7, 7), (7, 7) }));
        }
    }

    /// <summary>Medusa's buffers: identity, column 0, and ancestors; positions are depths.</summary>
    [Test]
    public void Sees_EveryPair_IsItselfAndItsAncestors()
    {
        var layout = MedusaTrees.Get("mc_sim_7b_63");
        for (var node = 0; node < layout.Count; node++)
        {
            for (var other = 0; other < layout.Count; other++)
            {
                var (path, begin) = (layout.Path(node), layout.Path(other));
                var isPrefix = path.AsSpan().StartsWith(begin);
                Assert.That(layout.Sees(node, other), Is.EqualTo(isPrefix), $"{node} {other}");
            }

            Assert.That(layout.Depths[node], Is.EqualTo(layout.Path(node).Length));
        }
    }

    private static IEnumerable<TestCaseData> BadChoices()
    {
        yield return new TestCaseData(Array.Empty<int[]>(), "the tree is empty");
        yield return new TestCaseData(new[] { new[] { 0 }, [0] }, "path [0] is in the tree twice");
        yield return new TestCaseData(new[] { new[] { 0 }, [1, 0] }, "path [1, 0] is in the tree, and its beginning [1] is not");
        yield return new TestCaseData(new[] { new[] { 0 }, [-1] }, "path [-1] is no path");
        yield return new TestCaseData(new[] { new[] { 0 }, [] }, "path [] is no path");
        yield return new TestCaseData(Enumerable.Range(1, 65).Select(length => new int[length]).ToArray(), "it needs 1 to 64 ranks");
        yield return new TestCaseData(Enumerable.Range(0, 4096).Select(rank => new[] { rank }).ToArray(), "more than 4095 paths");
    }

    [TestCaseSource(nameof(BadChoices))]
    public void FromChoices_WhatIsNoTree_IsRefused(int[][] choices, string fact) =>
        Assert.That(() => TreeLayout.FromChoices("t", choices), Throws.ArgumentException.With.Message.Contains(fact));

    [Test]
    public void FromChoices_TheLargestTrees_AreTaken()
    {
        Assert.That(TreeLayout.FromChoices("wide", Enumerable.Range(0, 4095).Select(rank => new[] { rank })).Count, Is.EqualTo(TreeLayout.MaxNodes));
        Assert.That(TreeLayout.FromChoices("deep", Enumerable.Range(1, 64).Select(length => new int[length])).Depth, Is.EqualTo(TreeLayout.MaxDepth));
    }

    [Test]
    public void FromParents_NodesInAnyOrderOfTheirOwn_GiveTheSameTree()
    {
        var layout = TreeLayout.FromParents("t", [-1, 0, 1, 0], [-1, 2, 0, 1]);
        Assert.That(Enumerable.Range(1, 3).Select(layout.Path), Is.EqualTo(new[] { new[] { 1 }, [2], [2, 0] }));
    }

    [TestCase(new[] { -1, 2, 0 }, new[] { -1, 0, 0 }, "node 1 has parent 2; a parent stands before its child")]
    [TestCase(new[] { -1, 1 }, new[] { -1, 0 }, "node 1 has parent 1")]
    [TestCase(new[] { -1, -1 }, new[] { -1, 0 }, "node 1 has parent -1")]
    [TestCase(new[] { 0, 0 }, new[] { -1, 0 }, "the first parent being -1")]
    [TestCase(new[] { -1, 0 }, new[] { -1 }, "2 parents and 1 ranks")]
    [TestCase(new[] { -1 }, new[] { -1 }, "1 parents and 1 ranks")]
    [TestCase(new[] { -1, 0, 0 }, new[] { -1, 3, 3 }, "path [3] is in the tree twice")]
    public void FromParents_WhatIsNoTree_IsRefused(int[] parents, int[] ranks, string fact) =>
        Assert.That(() => TreeLayout.FromParents("t", parents, ranks), Throws.ArgumentException.With.Message.Contains(fact));

    [Test]
    public void RequireFit_TooFewHeadsOrTokens_IsRefused()
    {
        var layout = TreeLayout.FromChoices("t", [[0], [7], [7, 0]]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => layout.RequireFit(2, 8), Throws.Nothing);
            Assert.That(() => layout.RequireFit(1, 8), Throws.ArgumentException.With.Message.Contains("2 deep, with [7, 0]; there are 1 heads"));
            Assert.That(() => layout.RequireFit(2, 7), Throws.ArgumentException.With.Message.Contains("asks for rank 7, in [7]; there are 7 tokens"));
        }
    }
}
