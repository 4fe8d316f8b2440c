using NativeSpec.Model;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>Heads of several sequences at once, and over the states of a model.</summary>
public sealed class MedusaBatchTests : MedusaFixture
{
    /// <summary>More sequences than are computed at once, of different depths and budgets; one has seen nothing yet.</summary>
    [Test]
    public void Propose_SeveralSequencesAtOnce_GivesEachTheTreeOfItsOwn([Values(1, 3, 20)] int count, [Values] bool isStatic)
    {
        var vocabs = Enumerable.Range(0, 3).Select(_ => Random(Vocab * Hidden)).ToArray();
        var options = new MedusaOptions { Tree = isStatic ? MedusaTrees.Parse("t", "[[0],[1],[0,0],[0,0,0]]") : null };
        using var source = Source(Memory.Plain(Hidden, vocabs), options);
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

    /// <summary>In an engine the heads read the states where the model left them; when the model has computed another forward, they are gone.</summary>
    [Test]
    public void Propose_AfterARoundOfAModel_ReadsTheHiddenRowsWhereTheyLie()
    {
        using var source = Source(Memory.Plain(Hidden, Random(Vocab * Hidden), Random(Vocab * Hidden)));
        using var weights = new SyntheticModel(Config, DType.F32, seed: 5);
        using var model = new LlamaModel(Config, weights.Tensors, Backend, new ForwardLimits(4, 4, 1, 16));
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
