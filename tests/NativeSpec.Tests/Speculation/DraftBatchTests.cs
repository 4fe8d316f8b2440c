using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

public sealed class DraftBatchTests
{
    private static readonly DraftItem Item = new(new Nobody(), new DraftContext([1], 1, 1), new DraftTree(2, 2));

    [Test]
    public void ShareOf_CallsThatCounted_IsByRows()
    {
        var batch = Batch(3);
        batch.CountRows(0, 1);
        batch.CountRows(2, 2);
        batch.CountRows(2, 1);
        Assert.That(Enumerable.Range(0, 3).Select(i => batch.ShareOf(i, 400)), Is.EqualTo(new long[] { 100, 0, 300 }));
        batch.Clear();
        batch.Add(Item);
        Assert.That(batch.ShareOf(0, 400), Is.EqualTo(400));
    }

    [Test]
    public void ShareOf_CallsThatDidNotCount_IsEqual()
        => Assert.That(Enumerable.Range(0, 4).Select(i => Batch(4).ShareOf(i, 400)), Has.All.EqualTo(100));

    [Test]
    public void Add_AnItemWithoutItsParts_IsRefused()
        => Assert.That(() => new DraftBatch().Add(Item with { Tree = null! }), Throws.ArgumentNullException);

    /// <summary>A session's own Propose reads all that is owed, and gives up where the source does not want to read.</summary>
    [TestCase(true, 600, "read 600, read 344, read 88, propose")]
    [TestCase(true, 0, "propose")]
    [TestCase(false, 600, "read 600")]
    public void ProposeAlone_WhatIsOwed_IsReadBefore(bool reads, int owed, string calls)
    {
        using var source = new Reader { Left = owed, Reads = reads };
        using var session = source.Start(default);
        session.Propose(Item.Context, Item.Tree);
        Assert.That(string.Join(", ", source.Calls), Is.EqualTo(calls));
    }

    private static DraftBatch Batch(int count)
    {
        var batch = new DraftBatch();
        for (var i = 0; i < count; i++)
        {
            batch.Add(Item);
        }

        return batch;
    }

    private sealed class Nobody : IDrafter
    {
        public void Propose(DraftContext context, DraftTree tree)
        {
        }

        public void Observe(RoundOutcome outcome)
        {
        }

        public void Dispose()
        {
        }
    }

    private sealed class Reader : BatchDrafterSource
    {
        public int Left { get; set; }

        public bool Reads { get; init; }

        public List<string> Calls { get; } = [];

        public override string Name => "reader";

        public override IDrafter Start(ReadOnlyMemory<int> prompt) => new Session(this);

        public override void Propose(DraftBatch batch, CancellationToken cancellationToken) => Calls.Add("propose");

        public override int Owed(in DraftItem item) => Left;

        public override void Read(DraftBatch batch, int rows, CancellationToken cancellationToken)
        {
            Calls.Add($"read {rows}");
            Left = Reads ? Math.Max(Left - 256, 0) : Left;
        }

        private sealed class Session(Reader source) : IDrafter
        {
            public void Propose(DraftContext context, DraftTree tree) => source.ProposeAlone(this, context, tree);

            public void Observe(RoundOutcome outcome)
            {
            }

            public void Dispose()
            {
            }
        }
    }
}
