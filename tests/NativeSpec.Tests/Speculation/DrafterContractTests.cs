using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

/// <summary>What every drafter keeps to, whatever it drafts from.</summary>
internal sealed class DrafterContractTests
{
    private const int Vocab = 40;

    private static readonly int[] Prompt = [1, 2, 3, 4, 5, 1, 2, 3, 9, 1, 2, 3];

    private static readonly Func<IDrafterSource>[] Sources =
    [
        () => new PromptLookupDrafter(),
        () => new PromptLookupDrafter(new() { MinMatch = 1, MaxDraft = 40, MaxBranches = 16 }),
        () => new TokenRecyclingDrafter(),
        () => new TokenRecyclingDrafter(new() { K = 64, MaxDepth = 20 }),
        () => new LookaheadDrafter(),
        () => new LookaheadDrafter(new() { Window = 3, Level = 2, Guesses = 2, PoolFromPrompt = false }),
        () => new MyDrafters.BigramDrafter(),
    ];

    private static readonly ScriptedTarget[] Targets =
    [
        ScriptedTarget.Markov(Vocab, order: 1),
        ScriptedTarget.Markov(Vocab, order: 3),
        ScriptedTarget.Script(Vocab, [.. Enumerable.Range(0, 400).Select(i => i % 13)]),
        ScriptedTarget.Script(Vocab, new int[400]),
    ];

    [Test]
    public void Run_AnyTarget_KeepsToTheBudgetsAndTheTextIsTheTargets(
        [ValueSource(nameof(Sources))] Func<IDrafterSource> make, [ValueSource(nameof(Targets))] ScriptedTarget target, [Values(0, 1, 5, 40)] int budget)
    {
        using var source = make();
        foreach (var depth in new[] { 0, 1, 3, 50 })
        {
            var result = new DrafterHarness { Budget = budget, ProbeBudget = budget, MaxDepth = depth }.Run(source, target, Prompt, newTokens: 60);

            Assert.That(result.Output, Is.EqualTo(Plain(target, result.Output.Count)));
        }
    }

    [Test]
    public void Run_Twice_GivesTheSameTrees([ValueSource(nameof(Sources))] Func<IDrafterSource> make)
    {
        var (first, second) = (make(), make());
        using (first)
        using (second)
        {
            var harness = new DrafterHarness { ProbeBudget = 40 };

            var trees = harness.Run(first, Targets[1], Prompt, newTokens: 100).Trees;

            Assert.That(harness.Run(second, Targets[1], Prompt, newTokens: 100).Trees, Is.EqualTo(trees));
        }
    }

    [Test]
    public void Run_OtherDraftersFillTheTree_AddsWhatFitsAndGoesOn([ValueSource(nameof(Sources))] Func<IDrafterSource> make, [Values(1, 2, 9)] int capacity)
    {
        using var source = make();
        var harness = new DrafterHarness { Capacity = capacity, ProbeBudget = 20, ChecksManners = false };

        var result = harness.Run(new AfterGarbage(source, Vocab), Targets[2], Prompt, newTokens: 50);

        Assert.That(result.Output, Is.EqualTo(Plain(Targets[2], result.Output.Count)));
    }

    [Test]
    public void Run_OnceWarm_AllocatesNothingButTheGrowthOfItsMemory([ValueSource(nameof(Sources))] Func<IDrafterSource> make)
    {
        using var source = make();
        if (source is MyDrafters.BigramDrafter)
        {
            Assert.Ignore("the example may allocate");
        }

        new DrafterHarness { ProbeBudget = 40 }.Run(source, Targets[1], Prompt, newTokens: 100);

        var allocated = new DrafterHarness { ProbeBudget = 40 }.Run(source, Targets[1], Prompt, newTokens: 400).AllocatedBytes;

        // Memory doubles, so growth falls on few rounds.
        Assert.That(allocated.Skip(10).Count(bytes => bytes > 0), Is.LessThanOrEqualTo(8), () => string.Join(' ', allocated));
    }

    [Test]
    public void Run_AlwaysRight_AcceptsAllOfItsChain()
    {
        var text = Enumerable.Range(0, 100).Select(i => (i * i) % Vocab).ToArray();

        var result = new DrafterHarness { Budget = 9 }.Run(new AlwaysRightDrafter(text), ScriptedTarget.Script(Vocab, text), text[..9], newTokens: 91);

        Assert.That((result.Accepted, result.Rounds, result.TokensPerRound), Is.EqualTo((81, 9, 10.0)));
    }

    [Test]
    public void Run_AlwaysWrong_AcceptsNothing()
    {
        var text = Enumerable.Range(0, 100).Select(i => (i * i) % Vocab).ToArray();

        var result = new DrafterHarness().Run(new AlwaysWrongDrafter(text, Vocab), ScriptedTarget.Script(Vocab, text), text[..9], newTokens: 80);

        Assert.That((result.Accepted, result.Rounds), Is.EqualTo((0, 79)));
        Assert.That(result.Drafted, Is.GreaterThan(20 * result.Rounds));
    }

    [Test]
    public void Run_Garbage_ChangesNothing()
    {
        var result = new DrafterHarness { ChecksManners = false, MaxDepth = 5 }.Run(new GarbageDrafter(Vocab), Targets[1], Prompt, newTokens: 80);

        Assert.That(result.Output, Is.EqualTo(Plain(Targets[1], result.Output.Count)));
        Assert.That(result.Drafted, Is.GreaterThan(100 * (result.Rounds - 1)));
    }

    private static List<int> Plain(ScriptedTarget target, int count)
    {
        var text = Prompt.ToList();
        while (text.Count < Prompt.Length + count)
        {
            text.Add(target.Next(text.ToArray()));
        }

        return text[Prompt.Length..];
    }

    /// <summary>A drafter that finds a tree full of another's garbage.</summary>
    private sealed class AfterGarbage(IDrafterSource source, int vocabSize) : IDrafterSource
    {
        public string Name => source.Name;

        public IDrafter Start(ReadOnlyMemory<int> prompt) => new Session(source.Start(prompt), new GarbageDrafter(vocabSize));

        public void Dispose()
        {
        }

        private sealed class Session(IDrafter drafter, GarbageDrafter garbage) : IDrafter
        {
            private int _rounds;

            public void Propose(DraftContext context, DraftTree tree)
            {
                if (_rounds++ % 2 == 0)
                {
                    garbage.Propose(context, tree);
                }

                drafter.Propose(context, tree);
            }

            public void Observe(RoundOutcome outcome) => drafter.Observe(outcome);

            public void Dispose()
            {
                garbage.Dispose();
                drafter.Dispose();
            }
        }
    }
}
