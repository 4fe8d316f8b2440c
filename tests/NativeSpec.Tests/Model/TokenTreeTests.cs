using NativeSpec.Model;

namespace NativeSpec.Tests.Model;

public sealed class TokenTreeTests
{
    [Test]
    public void Add_NodesUnderEarlierOnes_KeepsTopologicalOrderAndDepths()
    {
        var tree = new TokenTree(5);
        tree.AddChain([10, 11]);
        tree.Add(0, 12);
        tree.Add(2, 13);
        Assert.That(tree.Tokens.ToArray(), Is.EqualTo(new[] { 10, 11, 12, 13 }));
        Assert.That(tree.Parents.ToArray(), Is.EqualTo(new[] { -1, 0, 0, 2 }));
        Assert.That(tree.Depths.ToArray(), Is.EqualTo(new[] { 0, 1, 1, 2 }));
    }

    [TestCase(-1)]
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(int.MinValue)]
    public void Add_UnderNoEarlierNode_IsRefused(int parent)
    {
        var tree = new TokenTree(5);
        tree.Add(-1, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Add(parent, 2));
    }

    [Test]
    public void Add_ToAFullTree_IsRefused()
    {
        var tree = new TokenTree(1);
        tree.Add(-1, 1);
        Assert.Throws<InvalidOperationException>(() => tree.Add(0, 2));
    }

    [Test]
    public void Clear_ThenAdd_BeginsAnew()
    {
        var tree = new TokenTree(1);
        tree.Add(-1, 1);
        tree.Clear();
        Assert.That(tree.Add(-1, 2), Is.Zero);
    }
}
