using NativeSpec.Speculation;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Recycling;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation;

/// <summary>What every drafter keeps to, whatever it drafts from.</summary>
internal sealed class DrafterContractTests
{
    private const int Vocab = 40;

    private static readonly int[] Prompt = [1, 2, 3, 4, 5, 1, 2, 3, 9, 1, 2, 3];

    private static readonly Made[] OwnSources =
    [
        new("lookup", () => new PromptLookupDrafter()),
        new("lookup, wide", () => new PromptLookupDrafter(new() { MinMatch = 1, MaxDraft = 40, MaxBranches = 16 })),
        new("prediction", () => new PredictionDrafter([.. Enumerable.Range(0, 100).Select(i => i % 13)])),
        new("recycle", () => new TokenRecyclingDrafter()),
        new("recycle, wide", () => new TokenRecyclingDrafter(new() { K = 64, MaxDepth = 20 })),
        new("lookahead", () => new LookaheadDrafter()),
        new("lookahead, N = 2", () => new LookaheadDrafter(new() { Window = 3, Level = 2, Guesses = 2, PoolFromPrompt = false })),
    ];

    private static readonly Made[] Sources = [.. OwnSources, new("the document's", () => new MyDrafters.BigramDrafter())];

    private static readonly Scripted[] Targets =
    [
        new("Markov 1", ScriptedTarget.Markov(Vocab, order: 1)),
        new("Markov 3", ScriptedTarget.Markov(Vocab, order: 3)),
        new("periodic", ScriptedTarget.Script(Vocab, [.. Enumerable.Range(0, 400).Select(i => i % 13)])),
        new("constant", ScriptedTarget.Script(Vocab, new int[400])),
    ];

    private static ScriptedTarget Markov3 => Targets[1].Target;

    private static ScriptedTarget Periodic => Targets[2].Target;

    [Test]
    public void Run_AnyTarget_KeepsToTheBudgetsAndTheTextIsTheTargets(
        [ValueSource(nameof(Sources))] Made made, [ValueSource(nameof(Targets))] Scripted scripted, [Values(0, 1, 5, 40)] int budget)
    {
        using var source = made.Make();
        var target = scripted.Target;
        foreach (var depth in new[] { 0, 1, 3, 50 })
        {
            var harness = new DrafterHarness { Budget = budget, ProbeBudget = budget, MaxDepth = depth };

            var result = harness.Run(source, target, Prompt, newTokens: 60);

            Assert.That(result.Output, Is.EqualTo(Plain(target, result.Output.Count)));
        }
    }

    [Test]
    public void Run_Twice_GivesTheSameTrees([ValueSource(nameof(Sources))] Made made)
    {
        var (first, second) = (made.Make(), made.Make());
        using (first)
        using (second)
        {
            var harness = new DrafterHarness { ProbeBudget = 40 };

            var trees = harness.Run(first, Markov3, Prompt, newTokens: 100).Trees;

            Assert.That(harness.Run(second, Markov3, Prompt, newTokens: 100).Trees, Is.EqualTo(trees));
        }
    }

    [Test]
    public void Run_OtherDraftersFillTheTree_AddsWhatFitsAndGoesOn([ValueSource(nameof(Sources))] Made made, [Values(1, 2, 9)] int capacity)
    {
        using var source = made.Make();
        var harness = new DrafterHarness { Capacity = capacity, ProbeBudget = 20, ChecksManners = false };

        var result = harness.Run(new AfterGarbage(source, Vocab), Periodic, Prompt, newTokens: 50);

        Assert.That(result.Output, Is.EqualTo(Plain(Periodic, result.Output.Count)));
    }

    [Test]
    public void Run_OnceWarm_AllocatesNothingButTheGrowthOfItsMemory([ValueSource(nameof(OwnSources))] Made made)
    {
        using var source = made.Make();
        new DrafterHarness { ProbeBudget = 40 }.Run(source, Markov3, Prompt, newTokens: 100);

        var allocated = new DrafterHarness { ProbeBudget = 40 }.Run(source, Markov3, Prompt, newTokens: 400).AllocatedBytes;

        // Memory doubles, so growth falls on few rounds.
        Assert.That(allocated.Skip(10).Count(bytes => bytes > 0), Is.LessThanOrEqualTo(8), () => string.Join(' ', allocated));
    }

    [Test]
    public void Run_AlwaysRight_AcceptsAllOfItsChain()
    {
        var text = Enumerable.Range(0, 100).Select(i => (i * i) % Vocab).ToArray();
        var target = ScriptedTarget.Script(Vocab, text);

        var result = new DrafterHarness { Budget = 9 }.Run(new AlwaysRightDrafter(text), target, text[..9], newTokens: 91);

        Assert.That((result.Accepted, result.Rounds, result.TokensPerRound), Is.EqualTo((81, 9, 10.0)));
    }

    [Test]
    public void Run_AlwaysWrong_AcceptsNothing()
    {
        var text = Enumerable.Range(0, 100).Select(i => (i * i) % Vocab).ToArray();
        var target = ScriptedTarget.Script(Vocab, text);

        var result = new DrafterHarness().Run(new AlwaysWrongDrafter(text, Vocab), target, text[..9], newTokens: 80);

        Assert.That((result.Accepted, result.Rounds), Is.EqualTo((0, 79)));
        Assert.That(result.Drafted, Is.GreaterThan(20 * result.Rounds));
    }

    [Test]
    public void Run_Garbage_ChangesNothing()
    {
        var harness = new DrafterHarness { ChecksManners = false, MaxDepth = 5 };

        var result = harness.Run(new GarbageDrafter(Vocab), Markov3, Prompt, newTokens: 80);

        Assert.That(result.Output, Is.EqualTo(Plain(Markov3, result.Output.Count)));
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

    internal sealed record Made(string Name, Func<IDrafterSource> Make)
    {
        public override string ToString() => Name;
    }

    internal sealed record Scripted(string Name, ScriptedTarget Target)
    {
        public override string ToString() => Name;
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
