using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>The operations that only move rows: embed, gather, write, move in the cache.</summary>
[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class RowOperationTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void Embed_TokensOfTheBatch_CopiesTheirRows([Values(DType.F32, DType.F16, DType.BF16)] DType dtype)
    {
        var (view, table) = Tensor(dtype, Floats(10 * 12), 10, 12);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(3, 1) { Count = 3 };
        int[] tokens = [9, 0, 4];
        tokens.CopyTo(batch.Tokens, 0);

        var x = Compute(batch, null, [], (plan, _) => plan.Embed(weight));

        Assert.That(x, Is.EqualTo(tokens.SelectMany(token => table[(token * 12)..((token + 1) * 12)]).ToArray()));
    }

    [Test]
    public void Embed_ATokenOutsideTheTable_IsRefused([Values(-1, 10, int.MaxValue)] int token)
    {
        var (view, _) = Tensor(DType.F32, Floats(10 * 4), 10, 4);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(1, 1) { Count = 1 };
        batch.Tokens[0] = token;
        Assert.Throws<ArgumentOutOfRangeException>(() => Compute(batch, null, [], (plan, _) => plan.Embed(weight)));
    }

    [Test]
    public void Embed_WithAMultiplier_ScalesTheRows([Values(DType.F32, DType.BF16)] DType dtype)
    {
        var (view, table) = Tensor(dtype, Floats(10 * 12), 10, 12);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(1, 1) { Count = 1 };
        batch.Tokens[0] = 3;
        Assert.That(Compute(batch, null, [], (plan, _) => plan.Embed(weight, 1.7f)), Is.EqualTo(table[36..48].Select(value => value * 1.7f)));
    }

    [Test]
    public void GatherLogitRows_WantedRows_AreCopiedInOrder()
    {
        var width = Width(7);
        var x = Floats(5 * width);
        var batch = new RowBatch(5, 1) { Count = 5, LogitCount = 2 };
        batch.LogitRows[0] = 4;
        batch.LogitRows[1] = 1;

        var y = Compute(batch, null, [(x, width)], (plan, v) => plan.GatherLogitRows(v[0]));

        Assert.That(y, Is.EqualTo((float[])[.. x[(4 * width)..], .. x[width..(2 * width)]]));
    }

    [Test]
    public void GatherLogitRows_ARowOutsideTheBatch_IsRefused([Values(-1, 2)] int row)
    {
        var batch = new RowBatch(3, 1) { Count = 2, LogitCount = 1 };
        batch.LogitRows[0] = row;
        Assert.Throws<ArgumentOutOfRangeException>(() => Compute(batch, null, [(Floats(2 * Width(3)), Width(3))], (plan, v) => plan.GatherLogitRows(v[0])));
    }

    [Test]
    public void Write_RowsThatAreNotThere_AreRefused()
    {
        var plan = new ForwardPlan(4, 0);
        var x = plan.Input(3);
        using var program = Backend.Compile(plan);
        Assert.That(() => program.Write(x, 4, new float[3]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => program.Write(x, 0, new float[2]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => program.Run(new RowBatch(5, 1) { Count = 5 }), Throws.ArgumentException.With.Message.Contains("takes 4"));
    }

    [Test]
    public void Copy_ARowOfAnotherProgram_IsThereAndTheRestIsAsBefore()
    {
        var (first, second) = (new ForwardPlan(2, 0), new ForwardPlan(2, 0));
        var (from, to) = (first.Input(4), second.Input(4));
        using var source = Backend.Compile(first);
        using var target = Backend.Compile(second);
        source.Write(from, 1, [1, 2, 3, 4]);
        target.Write(to, 0, [5, 6, 7, 8]);

        target.Copy(to, 1, source, from, 1);

        Assert.That(target.Read(to, 1).ToArray(), Is.EqualTo((float[])[1, 2, 3, 4]));
        Assert.That(target.Read(to, 0).ToArray(), Is.EqualTo((float[])[5, 6, 7, 8]));
    }

    [Test]
    public void Run_AfterSomethingItReadsWasDisposed_SaysSo()
    {
        var (view, _) = Tensor(DType.F32, Floats(8), 2, 4);
        var weight = Backend.ImportWeight([view], [null]);
        var kv = Backend.AllocateKv(new KvShape(1, RowBatch.PageSize, 1, 1, 8));
        var plan = new ForwardPlan(1, 0);
        var (x, qkv) = (plan.Input(4), plan.Input(24));
        plan.Project(x, weight);
        plan.RopeAppend(qkv, new AttentionPlan(0, 1, 1, 8));
        plan.Project(plan.Attend(qkv, new AttentionPlan(0, 1, 1, 8)), Identity(8));
        var program = Backend.Compile(plan);
        var batch = new RowBatch(1, 1, Angles(1, new double[4])) { Count = 1, PathCount = 1 };
        program.Run(batch, kv);

        kv.Dispose();
        Assert.Throws<ObjectDisposedException>(() => program.Run(batch, kv));
        Assert.Throws<ObjectDisposedException>(() => Backend.MoveKvRows(kv, [0], [1]));
        program.Dispose();
        Assert.Throws<ObjectDisposedException>(() => program.Run(batch));
        Assert.Throws<ObjectDisposedException>(() => program.Read(x, 0));
        program.Dispose();
        weight.Dispose();
    }

    /// <summary>Seen through attention over one visible row: what it returns is that row's value.</summary>
    [Test]
    public void MoveKvRows_Rows_AreMovedInOrderInEveryLayer()
    {
        const int HeadDim = 8;
        using var kv = Backend.AllocateKv(new KvShape(2, RowBatch.PageSize, 1, 1, HeadDim));
        var rows = Floats(4 * 3 * HeadDim);
        var angles = Angles(1, new double[HeadDim / 2]);
        var batch = new RowBatch(4, 1, angles) { Count = 4 };
        for (var i = 0; i < 4; i++)
        {
            batch.KvRows[i] = i;
        }

        Append(rows, 0);
        Append([.. rows.Select(v => -v)], 1);
        Backend.MoveKvRows(kv, [2, 3], [1, 2]);

        foreach (var (layer, sign) in new[] { (0, 1f), (1, -1f) })
        {
            foreach (var (row, source) in new[] { (0, 0), (1, 2), (2, 3), (3, 3) })
            {
                var look = new RowBatch(1, 1, angles) { Count = 1 };
                look.PathRows[0] = row;
                look.PathCount = 1;
                look.KvRows[0] = 9; // which nobody sees
                var y = Compute(look, kv, [(Floats(3 * HeadDim), 3 * HeadDim)], (plan, v) =>
                {
                    plan.RopeAppend(v[0], new AttentionPlan(layer, 1, 1, HeadDim));
                    return plan.Project(plan.Attend(v[0], new AttentionPlan(layer, 1, 1, HeadDim)), Identity(HeadDim));
                });
                var value = rows[((source * 3) + 2) * HeadDim];
                Assert.That(y[0], Is.EqualTo(sign * value).Within(Description.RowError(Description.RoundsKv ? DType.BF16 : DType.F32) * Math.Abs(value)), $"layer {layer}, row {row}");
            }
        }

        void Append(float[] values, int layer) => Compute(batch, kv, [(values, 3 * HeadDim)], (plan, v) =>
        {
            plan.RopeAppend(v[0], new AttentionPlan(layer, 1, 1, HeadDim));
            return v[0];
        });
    }
}
