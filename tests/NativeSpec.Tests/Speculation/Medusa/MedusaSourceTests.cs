using NativeSpec.Loading;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>Which heads and options a source takes.</summary>
public sealed class MedusaSourceTests : MedusaFixture
{
    /// <summary>The model has 40 rows for 35 tokens; heads of 36 and of 48 rows are its own with another padding.</summary>
    [TestCase(36, false)]
    [TestCase(48, false)]
    [TestCase(34, true)]
    [TestCase(2000, true)]
    public void Source_HeadsOfAnotherPadding_ProposeWhatBothHave(int rows, bool isRefused)
    {
        var vocab = Random(rows * Hidden);
        Array.Fill(vocab, 9, (rows - 1) * Hidden, Hidden); // the last row wins wherever it counts
        MedusaDrafterSource Make() => new(
            Memory.Plain(Hidden, vocab), Config, tokens: 35, Memory.View("lm_head.weight", new float[Vocab * Hidden], Vocab, Hidden), Backend, new MedusaOptions { TopK = 60 });
        if (isRefused)
        {
            Assert.That(Make, Throws.InstanceOf<ModelFormatException>().With.Message.Contains($"{rows} tokens").And.Message.Contains("for 35 tokens"));
            return;
        }

        using var source = Make();
        var hidden = Array.ConvertAll(Random(Hidden), MathF.Abs);
        var tree = Propose(source, hidden, root: 0, capacity: 100);
        Assert.That(Tokens(tree).Skip(1), Is.EquivalentTo(Enumerable.Range(0, Math.Min(rows, Vocab))));
        Assert.That(tree.Token(1), rows < Vocab ? Is.EqualTo(rows - 1) : Is.LessThan(Vocab));
    }

    [Test]
    public void Source_WhatDoesNotFit_IsRefused()
    {
        var heads = Memory.Plain(Hidden, Counts(2));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => Source(heads, new MedusaOptions { Tree = TreeLayout.FromChoices("deep", [[0], [0, 0]]) }), Throws.ArgumentException.With.Message.Contains("2 deep, with [0, 0]; there are 1 heads"));
            Assert.That(() => Source(heads, new MedusaOptions { Tree = TreeLayout.FromChoices("wide", [[Vocab]]) }), Throws.ArgumentException.With.Message.Contains("rank 40"));
            Assert.That(() => Source(heads with { HiddenSize = 8 }), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("another model"));
            Assert.That(() => Source(heads, new MedusaOptions { TopK = 0 }), Throws.InstanceOf<ArgumentOutOfRangeException>());
        }
    }

    /// <summary>No back end finds more than 64, so that each request would fail.</summary>
    [Test]
    public void Source_ForMoreTokensOfAHeadThanAreFound_IsRefused()
    {
        const int Large = 100;
        var heads = Memory.Plain(Hidden, new float[Large * Hidden]);
        var wide = TreeLayout.FromChoices("wide", [.. Enumerable.Range(0, 65).Select(rank => new[] { rank })]);

        Assert.That(() => Make(new MedusaOptions { TopK = 65 }), Throws.ArgumentException.With.Message.Contains("TopK takes the 65 likeliest tokens of a head; expected at most 64"));
        Assert.That(() => Make(new MedusaOptions { Tree = wide }), Throws.ArgumentException.With.Message.Contains("Tree takes the 65 likeliest tokens"));
        Make(new MedusaOptions { TopK = 64 }).Dispose();
        Source(Memory.Plain(Hidden, Counts(2)), new MedusaOptions { TopK = 65 }).Dispose(); // of a vocabulary of 40

        MedusaDrafterSource Make(MedusaOptions options)
            => new(heads, Config with { VocabSize = Large }, Large, Memory.View("lm", new float[Large * Hidden], Large, Hidden), Backend, options);
    }
}
