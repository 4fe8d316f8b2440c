using NativeSpec.Speculation;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Lookahead;

internal sealed class LookaheadDrafterTests
{
    private const int Vocab = 4001;

    [Test]
    public void Tree_SteadyState_HasTheWindowAndTheMaskOfThePublishedLayout(
        [Values(1, 2, 7, 15)] int w, [Values(2, 3, 5, 8)] int n)
    {
        ForRounds(20, w, n, probes: 1000, (tree, round) =>
        {
            var levels = Math.Min(round, n - 1); // one more per round until there are N−1
            Assert.That(Probes(tree).Length + 1, Is.EqualTo(levels * w));
            AssertMask(tree, w, levels);
        });
    }

    [Test]
    public void Tree_Guesses_AreAtMostGTimesNMinusOneTokens()
    {
        const int W = 6, N = 4, G = 3;
        var most = 0;
        var target = ScriptedTarget.Markov(12, order: 3); // few tokens, so that keys have many n-grams
        var harness = new DrafterHarness { ProbeBudget = 100, Sees = tree => most = Math.Max(most, tree.Count - 1 - Probes(tree).Length) };

        harness.Run(new LookaheadDrafter(new() { Window = W, Level = N, Guesses = G }), target, prompt: [1, 2, 3], newTokens: 200);

        Assert.That(most, Is.EqualTo(G * (N - 1)));
    }

    [TestCase(0, 0)]
    [TestCase(2, 0)]
    [TestCase(3, 1)]
    [TestCase(6, 1)]
    [TestCase(7, 2)]
    [TestCase(22, 5)]
    [TestCase(23, 6)]
    [TestCase(26, 6)]
    [TestCase(27, 7)]
    [TestCase(1000, 7)]
    public void Tree_ProbeBudget_GetsTheWidestWindowThatFits(int probes, int columns)
    {
        const int N = 5;
        ForRounds(20, w: 7, N, probes, (tree, round) =>
            Assert.That(Probes(tree).Length, Is.EqualTo(Math.Max(0, (columns * Math.Min(round, N - 1)) - 1))));
    }

    [Test]
    public void Tree_NearTheEndOfTheText_HasNoProbeDeeperThanItsEnd()
    {
        var deepest = new List<int>();
        var harness = new DrafterHarness
        {
            ProbeBudget = 100,
            MaxDepth = 6,
            Sees = tree => deepest.Add(Enumerable.Range(0, tree.Count).Max(tree.Depth)),
        };

        harness.Run(Source(7, 5, 4), ScriptedTarget.Markov(Vocab, 2), Prompt(), newTokens: 30);

        Assert.That(deepest.Max(), Is.EqualTo(6));
    }

    [Test]
    public void Collect_SteadyState_GivesExactlyWNGramsPerRound()
    {
        const int W = 7, N = 5;
        var (window, pool) = (new LookaheadWindow(W, N, Prompt()), new NGramPool(N - 1, perKey: 1000));
        var target = ScriptedTarget.Markov(Vocab, order: 3); // so many tokens that no n-gram comes twice
        var counts = new List<int>();
        var harness = new DrafterHarness { ProbeBudget = 100 };

        harness.Run(new WindowAlone(window, pool, counts), target, Prompt(), newTokens: 40);

        Assert.That(counts.Take(8), Is.EqualTo(new[] { 0, 0, 0, 0, W, 2 * W, 3 * W, 4 * W }), "prompt and warm-up give none");
    }

    [Test]
    public void Collect_NGrams_AreThePathsThatTheTargetChoseFromColumnToColumn()
    {
        // W = 1: the only column hangs from the root and is the target's own continuation, guessed one level per round.
        var pool = new NGramPool(length: 2, perKey: 4);
        var window = new LookaheadWindow(width: 1, level: 3, Prompt());
        var target = new ScriptedTarget(100, text => text[^1] + 1);

        new DrafterHarness { ProbeBudget = 10 }.Run(new WindowAlone(window, pool, []), target, prompt: [10], newTokens: 4);

        // The prompt's round gives 11. Warm-up at root 11: level 1 is 12. At root 12, the probe 12 below it chooses 13.
        Assert.That(pool.First(12), Is.Not.Negative);
        Assert.That(pool.Tokens(pool.First(12)).ToArray(), Is.EqualTo(new[] { 12, 13 }));
    }

    [Test]
    public void Run_TargetThatKnowsItsTextByPosition_IsSolvedByTheIterationThoughNothingRepeats()
    {
        var script = Enumerable.Range(0, 400).Select(i => ((i * 7919) + 13) % Vocab).ToArray();
        var target = ScriptedTarget.Script(Vocab, script);
        var harness = new DrafterHarness { ProbeBudget = 100 };

        var with = harness.Run(Source(15, 5, 15), target, script[..5], newTokens: 300);
        var without = (harness with { ProbeBudget = 0 }).Run(Source(15, 5, 15), target, script[..5], newTokens: 300);

        Assert.That(with.Output, Is.EqualTo(without.Output));
        Assert.That(without.Accepted, Is.Zero);
        Assert.That(with.TokensPerRound, Is.GreaterThan(2.5));
    }

    [Test]
    public void Run_WindowOff_PoolServesGuessesFromTheText()
    {
        var target = ScriptedTarget.Script(50, [.. Enumerable.Range(0, 400).Select(i => i % 11)]);

        var result = new DrafterHarness().Run(Source(7, 5, 7), target, prompt: [0], newTokens: 200);

        Assert.That(result.Probes, Is.Zero);
        Assert.That(result.TokensPerRound, Is.GreaterThan(4), "a full guess of 4 tokens and the bonus token");
    }

    [Test]
    public void Propose_PoolFromPrompt_GuessesFromTheFirstRound([Values] bool poolFromPrompt)
    {
        using var source = new LookaheadDrafter(new() { Window = 0, Level = 3, PoolFromPrompt = poolFromPrompt });
        using var drafter = source.Start(new[] { 1, 2, 3, 9, 1, 2, 4, 9 });

        var tree = DraftRound.Propose(drafter, [1, 2, 3, 9, 1, 2, 4, 9, 1]);

        Assert.That(DraftRound.Paths(tree), Is.EqualTo(poolFromPrompt ? new[] { "2 4", "2 3" } : []));
    }

    [Test]
    public void Run_PlannerLeavesOutHalfTheProbes_GoesOnWithTheOthers()
    {
        var script = Enumerable.Range(0, 400).Select(i => ((i * 7919) + 13) % Vocab).ToArray();
        var harness = new DrafterHarness { ProbeBudget = 100, Computes = (round, node) => round % 3 != 0 || node % 5 != 4 };

        var result = harness.Run(Source(15, 5, 15), ScriptedTarget.Script(Vocab, script), script[..5], newTokens: 200);

        Assert.That(result.Output.Take(200), Is.EqualTo(script[5..205]));
        Assert.That(result.Accepted, Is.Positive);
    }

    [TestCase(-1, 5, 7, "Window")]
    [TestCase(7, 1, 7, "Level")]
    [TestCase(7, 5, 0, "Guesses")]
    public void Constructor_OptionOutOfRange_NamesIt(int w, int n, int g, string option)
        => Assert.That(() => Source(w, n, g), Throws.InstanceOf<ArgumentException>().With.Message.StartsWith($"{option} is "));

    /// <summary>Looks at the trees of the first rounds, counted from 1, of a text that is much longer.</summary>
    private static void ForRounds(int count, int w, int n, int probes, Action<DraftTree, int> check)
    {
        var round = 0;
        var harness = new DrafterHarness
        {
            ProbeBudget = probes,
            Sees = tree =>
            {
                if (++round <= count)
                {
                    check(tree, round);
                }
            },
        };

        harness.Run(Source(w, n, g: 4), ScriptedTarget.Markov(Vocab, order: 3), Prompt(), newTokens: count + 40);

        Assert.That(round, Is.GreaterThanOrEqualTo(count));
    }

    /// <summary>Level l of column i sees the text, columns 0..i of level 0 and its own column's levels 1..l, at depth l + i.</summary>
    private static void AssertMask(DraftTree tree, int w, int levels)
    {
        var trunk = new List<int> { 0 };
        var columns = new List<List<int>>();
        var probes = new Queue<int>(Probes(tree));
        for (var i = 0; i < w; i++)
        {
            if (i > 0)
            {
                trunk.Add(probes.Dequeue());
            }

            columns.Add([.. Enumerable.Range(1, levels - 1).Select(_ => probes.Dequeue())]);
            Assert.That(Ancestors(tree, trunk[i]), Is.EquivalentTo(trunk[..i]));
            Assert.That(tree.Depth(trunk[i]), Is.EqualTo(i));
            for (var level = 1; level < levels; level++)
            {
                var node = columns[i][level - 1];
                Assert.That(Ancestors(tree, node), Is.EquivalentTo(trunk[..(i + 1)].Concat(columns[i][..(level - 1)])));
                Assert.That(tree.Depth(node), Is.EqualTo(i + level));
            }
        }

        Assert.That(probes, Is.Empty);
    }

    private static int[] Ancestors(DraftTree tree, int node)
    {
        var ancestors = new List<int>();
        while ((node = tree.Parent(node)) >= 0)
        {
            ancestors.Add(node);
        }

        return [.. ancestors];
    }

    private static int[] Probes(DraftTree tree) => [.. Enumerable.Range(0, tree.Count).Where(tree.IsProbe)];

    private static int[] Prompt() => [.. Enumerable.Range(0, 40).Select(i => (i * 37) + 5)];

    private static LookaheadDrafter Source(int w, int n, int g) => new(new() { Window = w, Level = n, Guesses = g });

    /// <summary>A window whose n-grams are counted after each round and never guessed.</summary>
    private sealed class WindowAlone(LookaheadWindow window, NGramPool pool, List<int> counts) : IDrafterSource, IDrafter
    {
        public string Name => "window";

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree) => window.AddTo(tree, context.ProbeBudget, context.MaxDepth);

        public void Observe(RoundOutcome outcome)
        {
            window.Collect(outcome, pool);
            counts.Add(pool.Count);
        }

        public void Dispose()
        {
        }
    }
}
