using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Speculation.TreeLayouts;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation.Medusa;

public sealed class MedusaDrafterTests
{
    private const int Hidden = 16;
    private const int Vocab = 40;

    private static readonly LlamaConfig Config = TestConfigs.Tiny with { HiddenSize = Hidden, VocabSize = Vocab };

    private IBackend _backend = null!;
    private MemoryHeads _memory = null!;
    private Random _random = null!;

    [SetUp]
    public void Create()
    {
        _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        _memory = new MemoryHeads();
        _random = new Random(17);
    }

    [TearDown]
    public void Release()
    {
        _backend.Dispose();
        _memory.Dispose();
    }

    /// <summary>The trap that other implementations fell into: head 0 must not learn what the model's own matrix knows. Text counts up by
    /// one and the hidden state is the token itself. The model says t + 1, which becomes the root; the head that adds h + 2 must stand at
    /// depth h + 1, so that the path below the root goes on counting.</summary>
    [Test]
    public void Propose_HeadsOfACountingText_GoOnCountingBelowTheRoot([Values(0, 7, 15)] int token)
    {
        using var source = Source(_memory.Plain(Hidden, Counts(2), Counts(3), Counts(4)), new MedusaOptions { Tree = TreeLayout.FromChoices("chain", [[0], [0, 0], [0, 0, 0]]) });

        var tree = Propose(source, OneHot(token), root: token + 1);

        Assert.That(Tokens(tree), Is.EqualTo(new[] { token + 1, token + 2, token + 3, token + 4 }));
        Assert.That(Enumerable.Range(0, 4).Select(tree.Depth), Is.EqualTo(new[] { 0, 1, 2, 3 }));
    }

    [Test]
    public void Propose_BeforeAnythingWasSeen_AddsNothing()
    {
        using var source = Source(_memory.Plain(Hidden, Counts(2)));
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
        using var source = Source(_memory.Plain(Hidden, Counts(2), Counts(3)), new MedusaOptions { Tree = TreeLayout.FromChoices("chain", [[0], [0, 0]]) });
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
    public void Propose_AStaticTree_PutsEachRankOfEachHeadAtItsPath()
    {
        var vocabs = Enumerable.Range(0, 4).Select(_ => Random(Vocab * Hidden)).ToArray();
        var layout = MedusaTrees.Get("mc_sim_7b_63");
        using var source = Source(_memory.Plain(Hidden, vocabs), new MedusaOptions { Tree = layout });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, root: 5);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var expected = Enumerable.Range(1, 63).Select(node => string.Join(" ", layout.Path(node).Select((rank, depth) => ranked[depth][rank].Token)));
        Assert.That(Enumerable.Range(1, tree.Count - 1).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [Test]
    public void Propose_WithADynamicTree_TakesTheLikeliestPaths([Values(1, 2, 7, 30)] int budget)
    {
        var vocabs = Enumerable.Range(0, 3).Select(_ => Random(Vocab * Hidden)).ToArray();
        using var source = Source(_memory.Plain(Hidden, vocabs), new MedusaOptions { TopK = 6 });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, root: 5, budget: budget);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var all = new List<(string Path, double Chance)> { ("", 1) };
        for (int at = 0, depth; at < all.Count; at++)
        {
            depth = all[at].Path.Length == 0 ? 0 : all[at].Path.Split(' ').Length;
            all.AddRange(depth < 3 ? ranked[depth].Take(6).Select(next => ($"{all[at].Path} {next.Token}".Trim(), all[at].Chance * next.Chance)) : []);
        }

        var expected = all.Skip(1).OrderByDescending(path => path.Chance).Take(budget).Select(path => path.Path);
        Assert.That(Enumerable.Range(1, tree.Count - 1).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [Test]
    public void Propose_Confidence_IsTheHeadsProbability()
    {
        var vocab = Random(Vocab * Hidden);
        using var source = Source(_memory.Plain(Hidden, vocab), new MedusaOptions { TopK = 5 });
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

    [TestCase(3, 2, 8, 3)]
    [TestCase(100, 1, 100, 10)]
    [TestCase(100, 0, 100, 0)]
    [TestCase(0, 4, 100, 0)]
    [TestCase(100, 4, 6, 5)]
    public void Propose_BudgetDepthAndCapacity_AreKept(int budget, int maxDepth, int capacity, int added)
    {
        using var source = Source(_memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)), new MedusaOptions { Tree = MedusaTrees.Parse("t", "[[0],[1],[2],[3],[4],[5],[6],[7],[8],[9],[0,0],[0,1]]") });
        var tree = Propose(source, Random(Hidden), 0, budget, maxDepth, capacity);
        Assert.That(tree.Count - 1, Is.EqualTo(added));
    }

    [Test]
    public void Propose_ASmallBudgetForAStaticTree_LeavesTheUnlikelyOut()
    {
        var layout = MedusaTrees.Get("zephyr_stage2");
        var vocabs = Enumerable.Range(0, 4).Select(_ => Random(Vocab * Hidden)).ToArray();
        using var source = Source(_memory.Plain(Hidden, vocabs), new MedusaOptions { Tree = layout });
        var hidden = Random(Hidden);

        var tree = Propose(source, hidden, 0, budget: 12);

        var ranked = vocabs.Select(vocab => Ranked(vocab, hidden)).ToArray();
        var expected = Enumerable.Range(1, 63).Select(layout.Path)
            .OrderByDescending(path => path.Select((rank, depth) => ranked[depth][rank].Chance).Aggregate(1.0, (a, b) => a * b)).Take(12)
            .Select(path => string.Join(" ", path.Select((rank, depth) => ranked[depth][rank].Token)));
        Assert.That(Enumerable.Range(1, 12).Select(node => PathOf(tree, node)), Is.EquivalentTo(expected));
    }

    [Test]
    public void Propose_ABrokenHead_EndsTheTreeAboveIt()
    {
        var broken = Random(Vocab * Hidden);
        broken[3] = float.NaN;
        using var source = Source(_memory.Plain(Hidden, Random(Vocab * Hidden), broken), new MedusaOptions { TopK = 3 });
        var tree = Propose(source, Random(Hidden), 0);
        Assert.That(Enumerable.Range(0, tree.Count).Max(tree.Depth), Is.EqualTo(1));
        Assert.That(tree.Count, Is.EqualTo(4));
    }

    [Test]
    public void Propose_HeadsOverAPartOfTheVocabulary_NameTheModelsTokens()
    {
        var heads = _memory.Plain(Hidden, Random(3 * Hidden)) with { TokenMap = [39, 0, 17] };
        using var source = Source(heads);
        var tree = Propose(source, Random(Hidden), 0);
        Assert.That(Tokens(tree).Skip(1), Is.EquivalentTo(new[] { 39, 0, 17 }));
    }

    /// <summary>More sequences than are computed at once, of different depths and budgets; one has seen nothing yet.</summary>
    [Test]
    public void Propose_SeveralSequencesAtOnce_GivesEachTheTreeOfItsOwn([Values(1, 3, 20)] int count, [Values] bool isStatic)
    {
        var vocabs = Enumerable.Range(0, 3).Select(_ => Random(Vocab * Hidden)).ToArray();
        var options = new MedusaOptions { Tree = isStatic ? MedusaTrees.Parse("t", "[[0],[1],[0,0],[0,0,0]]") : null };
        using var source = Source(_memory.Plain(Hidden, vocabs), options);
        var (batch, states) = (new DraftBatch(), Enumerable.Range(0, count).Select(_ => Random(Hidden)).ToArray());
        for (var i = 0; i < count; i++)
        {
            var session = source.Start(default);
            session.Observe(new TestRound(states[i], Vocab, i));
            batch.Add(new DraftItem(session, Context(3 + i, 1 + (i % 3)), Tree(i, 64)));
        }

        batch.Add(new DraftItem(source.Start(default), Context(63, 8), Tree(0, 64)));
        source.Propose(batch, CancellationToken.None);

        for (var i = 0; i < count; i++)
        {
            var alone = Propose(source, states[i], i, budget: 3 + i, maxDepth: 1 + (i % 3));
            Assert.That(Described(batch[i].Tree), Is.EqualTo(Described(alone)), $"sequence {i}");
        }

        Assert.That(batch[count].Tree.Count, Is.EqualTo(1));
        Assert.That(batch.ShareOf(count, 1000), Is.Zero, "nothing was computed for it");
        Assert.That(batch.ShareOf(0, 1000 * count), Is.EqualTo(1000));
    }

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
            _memory.Plain(Hidden, vocab), Config, tokens: 35, _memory.View("lm_head.weight", new float[Vocab * Hidden], Vocab, Hidden), _backend, new MedusaOptions { TopK = 60 });
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

    /// <summary>In an engine the heads read the states where the model left them; when the model has computed another forward, they are gone.</summary>
    [Test]
    public void Propose_AfterARoundOfAModel_ReadsTheHiddenRowsWhereTheyLie()
    {
        using var source = Source(_memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)));
        using var weights = new SyntheticModel(Config, DType.F32, seed: 5);
        using var model = new LlamaModel(Config, weights.Tensors, _backend, new ForwardLimits(4, 4, 1, 16));
        using var cache = model.CreateCache(64);
        using var sequence = cache.TryOpen(16)!;
        var forest = new Forest(1);
        forest.Add(sequence, ModelRun.Chain(3, 4, 5), firstLogitNode: 1);
        var rows = model.Forward(forest);
        var batch = new DraftBatch();
        foreach (var row in new[] { 0, 1 })
        {
            var session = source.Start(default);
            session.Observe(new ModelRound(rows, row));
            batch.Add(new DraftItem(session, Context(20, 8), Tree(0, 64)));
        }

        source.Propose(batch, CancellationToken.None);

        var values = new[] { 0, 1 }.Select(row => rows.Hidden(row).Values.ToArray()).ToArray();
        Assert.That(Described(batch[0].Tree), Is.EqualTo(Described(Propose(source, values[0], root: 0, budget: 20))));
        Assert.That(Described(batch[1].Tree), Is.EqualTo(Described(Propose(source, values[1], root: 0, budget: 20))));
        Assert.That(Described(batch[0].Tree), Is.Not.EqualTo(Described(batch[1].Tree)));

        model.Forward(forest);
        var later = Tree(0, 64);
        batch[0].Session.Propose(Context(20, 8), later);
        Assert.That(later.Count, Is.EqualTo(1));
    }

    private static string[] Described(DraftTree tree)
        => [.. Enumerable.Range(1, tree.Count - 1).Select(node =>
        {
            ref readonly var proposal = ref tree.ProposalAt(tree.FirstProposal(node));
            return $"{PathOf(tree, node)} {proposal.Rank} {proposal.Confidence:r}";
        })];

    [Test]
    public void Propose_RoundAfterRound_AllocatesNothing()
    {
        using var source = Source(_memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)));
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

    [Test]
    public void Source_WhatDoesNotFit_IsRefused()
    {
        var heads = _memory.Plain(Hidden, Counts(2));
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
        var heads = _memory.Plain(Hidden, new float[Large * Hidden]);
        var wide = TreeLayout.FromChoices("wide", [.. Enumerable.Range(0, 65).Select(rank => new[] { rank })]);

        Assert.That(() => Make(new MedusaOptions { TopK = 65 }), Throws.ArgumentException.With.Message.Contains("TopK takes the 65 likeliest tokens of a head; expected at most 64"));
        Assert.That(() => Make(new MedusaOptions { Tree = wide }), Throws.ArgumentException.With.Message.Contains("Tree takes the 65 likeliest tokens"));
        Make(new MedusaOptions { TopK = 64 }).Dispose();
        Source(_memory.Plain(Hidden, Counts(2)), new MedusaOptions { TopK = 65 }).Dispose(); // of a vocabulary of 40

        MedusaDrafterSource Make(MedusaOptions options)
            => new(heads, Config with { VocabSize = Large }, Large, _memory.View("lm", new float[Large * Hidden], Large, Hidden), _backend, options);
    }

    /// <summary>W with W[(t + step) mod vocab, t] = 1: says t + step for the one-hot state of t.</summary>
    private static float[] Counts(int step)
    {
        var vocab = new float[Vocab * Hidden];
        for (var t = 0; t < Hidden; t++)
        {
            vocab[((t + step) % Vocab * Hidden) + t] = 1;
        }

        return vocab;
    }

    private static float[] OneHot(int token) => [.. Enumerable.Range(0, Hidden).Select(i => i == token ? 1f : 0)];

    private static List<(int Token, double Chance)> Ranked(float[] vocab, float[] hidden)
    {
        var logits = Enumerable.Range(0, Vocab).Select(row => Enumerable.Range(0, Hidden).Sum(i => (double)vocab[(row * Hidden) + i] * hidden[i])).ToArray();
        var sum = logits.Sum(Math.Exp);
        return [.. logits.Select((logit, token) => (token, Math.Exp(logit) / sum)).OrderByDescending(pair => pair.Item2)];
    }

    private static DraftTree Tree(int root, int capacity, int maxDepth = 8)
    {
        var tree = new DraftTree(capacity, Vocab);
        tree.Reset(root, maxDepth);
        return tree;
    }

    private static DraftContext Context(int budget, int maxDepth) => new() { Budget = budget, MaxDepth = maxDepth };

    private static DraftTree Propose(MedusaDrafterSource source, float[] hidden, int root, int budget = 63, int maxDepth = 8, int capacity = 64)
    {
        using var drafter = source.Start(ReadOnlyMemory<int>.Empty);
        drafter.Observe(new TestRound(hidden, Vocab, root));
        var tree = Tree(root, capacity, maxDepth);
        drafter.Propose(Context(budget, maxDepth), tree);
        return tree;
    }

    private static IEnumerable<int> Tokens(DraftTree tree) => Enumerable.Range(0, tree.Count).Select(tree.Token);

    private static string PathOf(DraftTree tree, int node)
    {
        var path = new List<int>();
        for (; node > 0; node = tree.Parent(node))
        {
            path.Insert(0, tree.Token(node));
        }

        return string.Join(" ", path);
    }

    private float[] Random(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(_random.NextDouble() - 0.5) * 2)];

    private MedusaDrafterSource Source(MedusaHeads heads, MedusaOptions? options = null) =>
        new(heads, Config, Vocab, _memory.View("lm_head.weight", new float[Vocab * Hidden], Vocab, Hidden), _backend, options);

    /// <summary>A round whose root alone was computed, by a model. Its hidden states are not to be read as numbers.</summary>
    private sealed class ModelRound(IForwardResult rows, int row) : RoundOutcome, IHiddenRows
    {
        public override DraftTree Tree { get; } = new(1, Vocab);

        public override ReadOnlySpan<int> Emitted => new int[1];

        public override ReadOnlySpan<int> AcceptedPath => new int[1];

        public override bool WasComputed(int node) => node == 0;

        public override ReadOnlySpan<float> Logits(int node) => rows.Logits(row);

        public override ReadOnlySpan<float> Hidden(int node) => throw new InvalidOperationException("a trip over the host");

        public HiddenRow HiddenRow(int node) => rows.Hidden(row);
    }
}
