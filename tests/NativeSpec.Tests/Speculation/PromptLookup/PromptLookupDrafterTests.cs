using NativeSpec.Speculation;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.PromptLookup;

internal sealed class PromptLookupDrafterTests
{
    [Test]
    public void Propose_TextSeenBefore_CopiesWhatFollowed()
    {
        var tree = Propose([1, 2, 3, 4, 5, 6, 7, 9, 1, 2]);

        Assert.That(DraftRound.Paths(tree), Is.EqualTo(new[] { "3 4 5 6 7 9 1 2" }));
    }

    [Test]
    public void Propose_MatchOfMTokens_DraftsFourTokensForEach([Values(2, 3, 4)] int match)
    {
        int[] prompt = [.. Enumerable.Range(100, 50), 1, .. Enumerable.Range(100, match)];

        Assert.That(Propose(prompt).Count - 1, Is.EqualTo(4 * match));
    }

    [Test]
    public void Propose_LongMatch_DraftsAtMostMaxDraft()
    {
        int[] prompt = [.. Enumerable.Range(100, 50), 1, .. Enumerable.Range(100, 20)];

        Assert.That(Propose(prompt, new() { MaxDraft = 5 }).Count - 1, Is.EqualTo(5));
    }

    [Test]
    public void Propose_MatchShorterThanMinMatch_ProposesNothing()
    {
        Assert.That(Propose([1, 2, 3, 9, 1, 2], new() { MinMatch = 3 }).Count, Is.EqualTo(1));
    }

    [Test]
    public void Propose_SeveralContinuations_LatestFirstThenByCount()
    {
        int[] prompt = [1, 2, 5, 1, 2, 4, 1, 2, 4, 1, 2, 3, 1, 2];

        var tree = Propose(prompt, new() { MaxDraft = 1, MaxBranches = 3 });

        var nodes = new[] { 3, 4, 5 }.Select(token => tree.FindChild(0, token)).ToArray();
        Assert.That(tree.Count - 1, Is.EqualTo(3));
        Assert.That(nodes, Has.All.Positive);
        var confidences = nodes.Select(node => DraftRound.Proposal(tree, node).Confidence).ToArray();
        Assert.That(confidences, Is.EqualTo(new[] { 0.75f / 4, 0.75f * 2 / 4, 0.75f / 4 }).Within(1e-6f));
    }

    [Test]
    public void Propose_ShorterSuffixFollowedByAnotherToken_IsABranchWithLessConfidence()
    {
        // 7 1 2 was followed by 3; the shorter 1 2 also by 4.
        var tree = Propose([1, 2, 4, 7, 1, 2, 3, 8, 7, 1, 2], new() { MaxDraft = 1 });

        var longer = DraftRound.Proposal(tree, tree.FindChild(0, 3));
        var shorter = DraftRound.Proposal(tree, tree.FindChild(0, 4));
        Assert.That((longer.Rank, shorter.Rank), Is.EqualTo((0, 1)));
        Assert.That(longer.Confidence, Is.EqualTo(4f / 5).Within(1e-6));
        Assert.That(shorter.Confidence, Is.EqualTo(1f / 5 * 3 / 4 / 2).Within(1e-6));
    }

    [Test]
    public void Propose_PeriodicText_RepeatsPastItsEnd()
    {
        Assert.That(DraftRound.Paths(Propose([1, 2, 3, 1, 2, 3])), Is.EqualTo(new[] { "1 2 3 1 2 3 1 2 3 1 2 3" }));
    }

    [Test]
    public void Propose_SmallBudget_GoesToTheBestOfAllBranches()
    {
        // After 1 2, each of 3 and 4 came once: of equal branches the two first tokens beat any second one.
        var tree = Propose([1, 2, 3, 5, 6, 1, 2, 4, 7, 8, 1, 2], new() { MaxBranches = 2 }, budget: 3);

        Assert.That(DraftRound.Paths(tree).Order(), Is.EqualTo(new[] { "3", "4 7" }));
    }

    [Test]
    public void Run_CopiedText_IsAcceptedInLongBlocks()
    {
        var random = new Random(3);
        var original = Enumerable.Range(0, 200).Select(_ => random.Next(500)).ToArray();
        int[] prompt = [.. original, 501];
        var target = ScriptedTarget.Script(502, [.. prompt, .. original]);

        var result = new DrafterHarness().Run(new PromptLookupDrafter(), target, prompt, newTokens: 150);

        Assert.That(result.Output.Take(150), Is.EqualTo(original.Take(150)));
        Assert.That(result.TokensPerRound, Is.GreaterThan(8));
    }

    [Test]
    public void Run_TextThatBeginsToRepeatItself_IsAcceptedFromThenOn()
    {
        var target = ScriptedTarget.Script(50, [.. Enumerable.Range(0, 400).Select(i => i % 11)]);

        var result = new DrafterHarness().Run(new PromptLookupDrafter(), target, prompt: [0], newTokens: 300);

        Assert.That(result.TokensPerRound, Is.GreaterThan(9));
    }

    [TestCase("MinMatch")]
    [TestCase("MaxDraft")]
    [TestCase("MaxBranches")]
    public void Constructor_OptionOutOfRange_NamesIt(string option)
    {
        var options = new PromptLookupOptions
        {
            MinMatch = option == "MinMatch" ? 0 : 1,
            MaxDraft = option == "MaxDraft" ? 257 : 1,
            MaxBranches = option == "MaxBranches" ? 17 : 1,
        };

        Assert.That(
            () => new PromptLookupDrafter(options), Throws.InstanceOf<ArgumentException>().With.Message.StartsWith($"{option} is "));
    }

    private static DraftTree Propose(int[] text, PromptLookupOptions? options = null, int budget = 64)
    {
        using var source = new PromptLookupDrafter(options);
        using var drafter = source.Start(text.AsMemory(0, text.Length - 1));
        return DraftRound.Propose(drafter, text, budget);
    }
}
