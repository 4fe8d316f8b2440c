using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>What a drafter makes of what its heads say.</summary>
public sealed class MedusaDrafterTests : MedusaFixture
{
    /// <summary>The trap that other implementations fell into: head 0 must not learn what the model's own matrix knows. Text counts up by
    /// one and the hidden state is the token itself. The model says t + 1, which becomes the root; the head that adds h + 2 must stand at
    /// depth h + 1, so that the path below the root goes on counting.</summary>
    [Test]
    public void Propose_HeadsOfACountingText_GoOnCountingBelowTheRoot([Values(0, 7, 15)] int token)
    {
        using var source = Source(Memory.Plain(Hidden, Counts(2), Counts(3), Counts(4)), new MedusaOptions { Tree = TreeLayout.FromChoices("chain", [[0], [0, 0], [0, 0, 0]]) });

        var tree = Propose(source, OneHot(token), root: token + 1);

        Assert.That(Tokens(tree), Is.EqualTo(new[] { token + 1, token + 2, token + 3, token + 4 }));
        Assert.That(Enumerable.Range(0, 4).Select(tree.Depth), Is.EqualTo(new[] { 0, 1, 2, 3 }));
    }

    [Test]
    public void Propose_BeforeAnythingWasSeen_AddsNothing()
    {
        using var source = Source(Memory.Plain(Hidden, Counts(2)));
        using var drafter = source.Start(ReadOnlyMemory<int>.Empty);
        var tree = Tree(0, 8);
        drafter.Propose(Context(8, 8), tree);
        Assert.That(tree.Count, Is.EqualTo(1));
    }

    /// <summary>A head that takes longer than writing a token cannot pay, however right it is. When one is timed again is up to what it costs:
    /// LevelWorthTests.</summary>
    [Test]
    public void Propose_HeadsMuchSlowerThanWriting_AreNotComputed()
    {
        using var source = Source(Memory.Plain(Hidden, Counts(2), Counts(3)), new MedusaOptions { Tree = TreeLayout.FromChoices("chain", [[0], [0, 0]]) });
        using var drafter = source.Start(ReadOnlyMemory<int>.Empty);
        drafter.Observe(new TestRound(OneHot(3), Vocab, 4));
        Assert.That(Depth(tokensPerSecond: 0), Is.EqualTo(2), "cost is not regarded");
        Assert.That(Depth(tokensPerSecond: 0), Is.EqualTo(2), "nor now, when the first has compiled its code and this one is timed");

        var depths = Enumerable.Range(0, 128).Select(_ => Depth(tokensPerSecond: 1e12)).ToArray();

        Assert.That(depths.Count(depth => depth == 1), Is.EqualTo(2), "one head is timed again now and then");
        Assert.That(depths.Count(depth => depth == 0), Is.EqualTo(126));

        int Depth(double tokensPerSecond)
        {
            var (tree, context) = (Tree(4, 8), Context(8, 8));
            context.TokensPerSecond = tokensPerSecond;
            drafter.Propose(context, tree);
            return Enumerable.Range(0, tree.Count).Max(tree.Depth);
        }
    }

    [Test]
    public void Propose_ABrokenHead_EndsTheTreeAboveIt()
    {
        var broken = Random(Vocab * Hidden);
        broken[3] = float.NaN;
        using var source = Source(Memory.Plain(Hidden, Random(Vocab * Hidden), broken), new MedusaOptions { TopK = 3 });
        var tree = Propose(source, Random(Hidden), 0);
        Assert.That(Enumerable.Range(0, tree.Count).Max(tree.Depth), Is.EqualTo(1));
        Assert.That(tree.Count, Is.EqualTo(4));
    }

    [Test]
    public void Propose_Confidence_IsTheHeadsProbability()
    {
        var vocab = Random(Vocab * Hidden);
        using var source = Source(Memory.Plain(Hidden, vocab), new MedusaOptions { TopK = 5 });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, root: 0);

        var ranked = Ranked(vocab, hidden);
        for (var node = 1; node <= 5; node++)
        {
            var proposal = tree.ProposalAt(tree.FirstProposal(node));
            Assert.That((tree.Token(node), proposal.Rank), Is.EqualTo((ranked[node - 1].Token, node - 1)));
            Assert.That(proposal.Confidence, Is.EqualTo(ranked[node - 1].Chance).Within(1e-5));
        }
    }

    [Test]
    public void Propose_HeadsOverAPartOfTheVocabulary_NameTheModelsTokens()
    {
        var heads = Memory.Plain(Hidden, Random(3 * Hidden)) with { TokenMap = [39, 0, 17] };
        using var source = Source(heads);
        var tree = Propose(source, Random(Hidden), 0);
        Assert.That(Tokens(tree).Skip(1), Is.EquivalentTo(new[] { 39, 0, 17 }));
    }

    [Test]
    public void Propose_RoundAfterRound_AllocatesNothing()
    {
        using var source = Source(Memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)));
        using var drafter = source.Start(ReadOnlyMemory<int>.Empty);
        var (tree, context, round) = (Tree(0, 64), Context(63, 8), new TestRound(Random(Hidden), Vocab, 0));
        long before = 0;
        for (var i = 0; i < 200; i++)
        {
            before = i == 100 ? GC.GetAllocatedBytesForCurrentThread() : before;
            drafter.Observe(round);
            tree.Reset(0, 8);
            drafter.Propose(context, tree);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }
}
