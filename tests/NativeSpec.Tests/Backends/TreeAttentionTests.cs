using NativeSpec.Backends;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class TreeAttentionTests(TestBackend backend) : TreeAttentionFixture(backend)
{
    /// <summary>Rope and attention together, as they run: keys and values are written by one and read by the other. A random tree after a
    /// random prefix, on pages in random order, against float64 softmax over the node's own path.</summary>
    [Test, Pairwise]
    public void TreeAttention_RandomTreesAndPrefixes_AgreesWithFloat64OverThePath(
        [Values(0, 1, 31, 63, 130)] int prefix, [Values(1, 2, 9)] int nodes, [Values(8, 64, 80)] int headDim, [Values(1, 4)] int group)
        => Check(prefix, nodes, headDim, group, rotaryDim: headDim, window: 0, norms: false);

    [Test, Pairwise]
    public void TreeAttention_WithAWindow_SeesTheLastPositionsOfThePath(
        [Values(0, 40, 130)] int prefix, [Values(1, 9)] int nodes, [Values(1, 2, 31, 32, 33, 100, 500)] int window, [Values] bool norms)
        => Check(prefix, nodes, headDim: 24, group: 3, rotaryDim: 24, window, norms);

    [Test]
    public void TreeAttention_APartOfAHeadRotated_LeavesTheRest([Values(0, 2, 18, 24)] int rotaryDim, [Values] bool norms)
        => Check(prefix: 70, nodes: 5, headDim: 24, group: 2, rotaryDim, window: 0, norms);

    [Test]
    public void RopeAppend_WhatDoesNotFitTheHeads_IsRefused()
    {
        var plan = new ForwardPlan(1, 0);
        var x = plan.Input(24);
        var attention = new AttentionPlan(0, 1, 1, 8);
        Assert.That(() => plan.RopeAppend(x, attention with { RotaryDim = 10 }), Throws.ArgumentException.With.Message.Contains("10"));
        Assert.That(() => plan.RopeAppend(x, attention with { RotaryDim = 3 }), Throws.ArgumentException.With.Message.Contains("3"));
        Assert.That(() => plan.RopeAppend(x, attention with { QNorm = Gain(new float[6]) }), Throws.ArgumentException.With.Message.Contains("6"));
        Assert.That(() => plan.Attend(x, attention with { Window = -1 }), Throws.InstanceOf<ArgumentException>());
        plan.RopeAppend(x, attention with { RotaryDim = 6 });
        using var program = Backend.Compile(plan);
        using var kv = Backend.AllocateKv(new KvShape(1, RowBatch.PageSize, 1, 1, 8));
        Assert.That(() => program.Run(new RowBatch(1, 1, Angles(1, new double[4])) { Count = 1 }, kv), Throws.ArgumentException.With.Message.Contains("angles for 8 rotated").And.Message.Contains("rotates 6"));
        Assert.That(() => program.Run(new RowBatch(1, 1) { Count = 1 }, kv), Throws.ArgumentException.With.Message.Contains("angles for 0 rotated"));
        var late = new RowBatch(1, 1, Angles(2, new double[3])) { Count = 1 };
        late.Positions[0] = 2;
        Assert.That(() => program.Run(late, kv), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("position 2; expected 0 to 1"));
        var behind = new RowBatch(1, 1, Angles(RowBatch.PageSize + 1, new double[3])) { Count = 1 };
        behind.Positions[0] = RowBatch.PageSize; // known, but behind what the cache holds
        Assert.That(() => program.Run(behind, kv), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("position 64; expected 0 to 63"));
        late.Positions[0] = -1;
        Assert.That(() => program.Run(late, kv), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("position -1"));
    }
}
