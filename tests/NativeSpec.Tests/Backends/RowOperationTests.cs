using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>The operations that only move rows: embed, gather, write, move in the cache.</summary>
[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class RowOperationTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void Embed_TokensOfTheBatch_CopiesTheirRows([Values(DType.F32, DType.F16, DType.BF16)] DType dtype)
    {
        var (view, table) = Tensor(dtype, Floats(10 * 12), 10, 12);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(3, 1, 2) { Count = 3 };
        int[] tokens = [9, 0, 4];
        tokens.CopyTo(batch.Tokens, 0);
        var x = Buffer(3 * 12);

        Backend.Upload(batch);
        Backend.Embed(weight, x);

        Assert.That(Read(x), Is.EqualTo(tokens.SelectMany(token => table[(token * 12)..((token + 1) * 12)]).ToArray()));
    }

    [Test]
    public void Embed_ATokenOutsideTheTable_IsRefused([Values(-1, 10, int.MaxValue)] int token)
    {
        var (view, _) = Tensor(DType.F32, Floats(10 * 4), 10, 4);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(1, 1, 2) { Count = 1 };
        batch.Tokens[0] = token;
        Backend.Upload(batch);
        Assert.Throws<ArgumentOutOfRangeException>(() => Backend.Embed(weight, Buffer(4)));
    }

    [Test]
    public void GatherLogitRows_WantedRows_AreCopiedInOrder()
    {
        var x = Floats(5 * 7);
        var batch = new RowBatch(5, 1, 2) { Count = 5, LogitCount = 2 };
        batch.LogitRows[0] = 4;
        batch.LogitRows[1] = 1;
        var y = Buffer(2 * 7);

        Backend.Upload(batch);
        Backend.GatherLogitRows(Buffer(x), y, 7);

        Assert.That(Read(y), Is.EqualTo((float[])[.. x[28..35], .. x[7..14]]));
    }

    [Test]
    public void Write_APart_IsThereAndTheRestIsAsBefore()
    {
        var before = Floats(10);
        var buffer = Buffer(before);

        Backend.Write(buffer, 3, [1.5f, -2]);

        Assert.That(Read(buffer), Is.EqualTo((float[])[.. before[..3], 1.5f, -2, .. before[5..]]));
    }

    [TestCase(9, 2)]
    [TestCase(-1, 1)]
    [TestCase(0, 11)]
    public void Write_OutsideTheBuffer_IsRefused(int start, int length) =>
        Assert.That(() => Backend.Write(Buffer(10), start, new float[length]), Throws.InstanceOf<ArgumentOutOfRangeException>());

    /// <summary>Seen through attention over one visible row: what it returns is that row's value.</summary>
    [Test]
    public void MoveKvRows_Rows_AreMovedInOrderInEveryLayer()
    {
        const int HeadDim = 8;
        using var kv = Backend.AllocateKv(new KvShape(2, RowBatch.PageSize, 1, 1, HeadDim));
        var rows = Floats(4 * 3 * HeadDim);
        var batch = new RowBatch(4, 1, HeadDim) { Count = 4 };
        Array.Fill(batch.Cos, 1);
        for (var i = 0; i < 4; i++)
        {
            batch.KvRows[i] = i;
        }

        Backend.Upload(batch);
        Backend.Rope(Buffer(rows), kv, 0);
        Backend.Rope(Buffer([.. rows.Select(v => -v)]), kv, 1);
        Backend.MoveKvRows(kv, [2, 3], [1, 2]);

        foreach (var (layer, sign) in new[] { (0, 1f), (1, -1f) })
        {
            foreach (var (row, source) in new[] { (0, 0), (1, 2), (2, 3), (3, 3) })
            {
                var look = new RowBatch(1, 1, HeadDim) { Count = 1 };
                look.PathRows[0] = row;
                look.PathCount = 1;
                var y = Buffer(HeadDim);
                Backend.Upload(look);
                Backend.TreeAttention(Buffer(Floats(3 * HeadDim)), kv, layer, y);
                var value = rows[((source * 3) + 2) * HeadDim];
                Assert.That(Read(y)[0], Is.EqualTo(sign * value), $"layer {layer}, row {row}");
            }
        }
    }
}
