using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Recycling;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Recycling;

internal sealed class TokenRecyclingDrafterTests
{
    private const int Vocab = 64;

    [Test]
    public void Propose_NothingLearnt_ProposesNothing()
    {
        using var source = new TokenRecyclingDrafter();
        using var drafter = source.Start(new[] { 1, 2 });

        Assert.That(DraftRound.Propose(drafter, [1, 2]).Count, Is.EqualTo(1));
    }

    [Test]
    public void Run_SecondRequest_UsesWhatTheFirstTaught()
    {
        var target = ScriptedTarget.Markov(Vocab, order: 1);
        using var source = new TokenRecyclingDrafter();
        var first = new DrafterHarness().Run(source, target, prompt: [5], newTokens: 60);

        var second = new DrafterHarness().Run(source, target, prompt: [5], newTokens: 60);

        Assert.That(second.Output.Take(60), Is.EqualTo(first.Output.Take(60)));
        Assert.That(second.Rounds, Is.LessThan(first.Rounds));
        Assert.That(second.TokensPerRound, Is.GreaterThan(6));
    }

    [Test]
    public void Learn_ComputedNodesThatWereNotAccepted_AreLearntAndOthersAreNot()
    {
        // Each token is followed by the next one, but the first draft knows only the wrong way 3 → 20, 20 → 21 from before.
        var target = new ScriptedTarget(Vocab, text => (text[^1] + 1) % Vocab);
        var table = new SuccessorTable(k: 1);
        Teach(table, 3, OneHot(20));
        Teach(table, 20, OneHot(40));
        using var session = new SharedSession(table);

        new DrafterHarness { Computes = (_, node) => node < 2 }.Run(session, target, prompt: [2], newTokens: 10);

        Assert.That(table.Of(20).ToArray(), Is.EqualTo(new[] { 21 }), "node 1 was computed");
        Assert.That(table.Of(40).ToArray(), Is.Empty, "node 2 was not");
    }

    [Test]
    public void Propose_GrowsBestFirstByThePriorsOfTheRanks()
    {
        // Every token is followed by token + 1, then + 2, ...; trusts are 1/2, 1/8, 1/18, ...
        var table = new SuccessorTable(k: 3);
        for (var token = 0; token < 32; token++)
        {
            Teach(table, token, [.. Enumerable.Range(0, Vocab).Select(i => i > token ? -(float)i : -1000)]);
        }

        using var session = new TokenRecyclingSession(table, maxDepth: 4);
        var tree = DraftRound.Propose(session, [1], budget: 8);

        // Reach 1/2 1/4 1/8 (two of them) 1/16 (three) 1/18.
        Assert.That(DraftRound.Paths(tree).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "2 3 4 5", "2 4", "3 4", "4" }));
        Assert.That(tree.Count, Is.EqualTo(9));
        var second = DraftRound.Proposal(tree, tree.FindChild(0, 3));
        Assert.That((second.Rank, second.Confidence), Is.EqualTo((1, 0.125f)));
    }

    [Test]
    public void Propose_MaxDepth_IsKept()
    {
        var table = new SuccessorTable(k: 1);
        Teach(table, 7, OneHot(7));
        using var session = new TokenRecyclingSession(table, maxDepth: 3);

        Assert.That(DraftRound.Paths(DraftRound.Propose(session, [7])), Is.EqualTo(new[] { "7 7 7" }));
    }

    [Test]
    public void Trust_ChoicesSeen_MovesFromThePriorToTheirShare()
    {
        var table = new SuccessorTable(k: 2);
        Teach(table, 1, [0, 0, 2, 1]);
        var before = (table.Trust(0), table.Trust(1));

        for (var i = 0; i < 3000; i++)
        {
            table.Count(1, i % 4 == 0 ? 2 : 3);
        }

        Assert.That(before, Is.EqualTo((0.5f, 0.125f)));
        Assert.That(table.Trust(0), Is.EqualTo(0.25f).Within(0.01f));
        Assert.That(table.Trust(1), Is.EqualTo(0.75f).Within(0.01f));
    }

    [Test]
    public void Trust_TokenNotInTheTable_TeachesNothing()
    {
        var table = new SuccessorTable(k: 2);

        table.Count(1, 2);

        Assert.That(table.Trust(0), Is.EqualTo(0.5f));
    }

    [Test]
    public void Learn_OtherVocabulary_Throws()
    {
        var table = new SuccessorTable(k: 2);
        Teach(table, 1, new float[10]);

        Assert.That(
            () => Teach(table, 1, new float[11]),
            Throws.InvalidOperationException.With.Message.Contains("10 tokens").And.Message.Contains("11 logits"));
    }

    [TestCase(0, 6, "K")]
    [TestCase(65, 6, "K")]
    [TestCase(8, 0, "MaxDepth")]
    public void Constructor_OptionOutOfRange_NamesIt(int k, int maxDepth, string option)
    {
        Assert.That(
            () => new TokenRecyclingDrafter(new() { K = k, MaxDepth = maxDepth }),
            Throws.InstanceOf<ArgumentException>().With.Message.StartsWith($"{option} is "));
    }

    private static void Teach(SuccessorTable table, int token, float[] logits)
    {
        table.Require(logits.Length);
        TopTokens.Select(logits, table.Learn(token));
    }

    private static float[] OneHot(int token) => [.. Enumerable.Range(0, Vocab).Select(i => i == token ? 1f : float.NegativeInfinity)];

    private sealed class SharedSession(SuccessorTable table) : IDrafterSource
    {
        public string Name => "recycle";

        public IDrafter Start(ReadOnlyMemory<int> prompt) => new TokenRecyclingSession(table, maxDepth: 6);

        public void Dispose()
        {
        }
    }
}
