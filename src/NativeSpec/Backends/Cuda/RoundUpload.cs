namespace NativeSpec.Backends.Cuda;

/// <summary>Rows of a batch that a pass takes, and to how many it is filled up.</summary>
internal readonly record struct PassRows(int First, int Count, int Bucket);

/// <summary>Writes what goes up for a pass (<see cref="RoundLayout"/>).</summary>
/// <param name="kv">The cache; null where nothing is attended to.</param>
/// <param name="work">Cuts attention into items; null where there is none.</param>
/// <param name="mostItems">Items of attention's work that there is room for.</param>
internal sealed unsafe class RoundUpload(CudaKv? kv, AttentionWork? work, int mostItems)
{
    /// <summary>Fills the block: a bucket's rows, of which those past the batch's have no position and a cache row that nobody reads.</summary>
    /// <param name="block">Pinned memory.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows of this pass.</param>
    /// <param name="logits">Of the rows with logits, those that lie among them.</param>
    /// <param name="rules">How rows with logits are chosen from; empty where nothing is asked.</param>
    /// <param name="walks">Along which trees it walks.</param>
    /// <returns>Bytes.</returns>
    public int Fill(byte* block, RowBatch batch, in PassRows rows, in PassRows logits, ReadOnlySpan<ChoiceRule> rules, TreeWalks walks)
    {
        var layout = new RoundLayout(rows.Bucket, logits.Bucket);
        Put(block + layout.Tokens, batch.Tokens, rows, filling: 0);
        Put(block + layout.Positions, batch.Positions, rows, filling: -1);
        for (var i = 0; i < logits.Bucket; i++)
        {
            ((int*)(block + layout.LogitRows))[i] = i < logits.Count ? batch.LogitRows[logits.First + i] - rows.First : 0;
        }

        if (!rules.IsEmpty)
        {
            walks.Fill(block, layout, logits);
            var asked = new Span<ChoiceRule>(block + layout.Rules, logits.Bucket);
            rules.Slice(logits.First, logits.Count).CopyTo(asked);
            asked[logits.Count..].Clear();
        }

        if (kv is null)
        {
            return layout.Items;
        }

        Put(block + layout.KvRows, batch.KvRows, rows, filling: 0);
        for (var i = rows.Count; i < rows.Bucket; i++)
        {
            ((int*)(block + layout.KvRows))[i] = kv.DeadRow + (i % RowBatch.PageSize);
        }

        return PutMoves(block, layout, work is null ? layout.Items : PutSight(block, layout, batch, rows, work), kv);
    }

    private static void Put(byte* to, int[] values, in PassRows rows, int filling)
    {
        var target = new Span<int>(to, rows.Bucket);
        values.AsSpan(rows.First, rows.Count).CopyTo(target);
        target[rows.Count..].Fill(filling);
    }

    /// <summary>Moves that were noted, behind all else; their list counts from the block's begin.</summary>
    private static int PutMoves(byte* block, in RoundLayout layout, int at, CudaKv cache)
    {
        var first = (at + sizeof(KvMove) - 1) / sizeof(KvMove);
        *(RowList*)(block + layout.MoveList) = new RowList { First = first, Count = cache.MoveCount };
        var moves = new Span<KvMove>(block + (first * sizeof(KvMove)), cache.MoveCount);
        cache.Moves.AsSpan(0, cache.MoveCount).CopyTo(moves);
        return cache.MoveCount == 0 ? at : (first + cache.MoveCount) * sizeof(KvMove);
    }

    /// <summary>What rows see. Pages lie behind the items, and path rows behind them: indices count from the block's begin.</summary>
    private int PutSight(byte* block, in RoundLayout layout, RowBatch batch, in PassRows rows, AttentionWork cut)
    {
        var items = new Span<AttentionItem>(block + layout.Items, mostItems);
        var count = cut.Plan(batch, rows.First, rows.Count, items);
        var pages = layout.Items + (count * sizeof(AttentionItem));
        var pageCount = Math.Max(1, batch.PageCount); // the kernel reads a page where all keys are gathered, too
        var paths = pages + (pageCount * sizeof(int));
        foreach (ref var item in items[..count])
        {
            item.Pages += pages / sizeof(int);
        }

        *(int*)(block + layout.ItemCount) = count;
        *(int*)(block + pages) = 0;
        batch.Pages.AsSpan(0, batch.PageCount).CopyTo(new Span<int>(block + pages, pageCount));
        batch.PathRows.AsSpan(0, batch.PathCount).CopyTo(new Span<int>(block + paths, batch.PathCount));
        Put(block + layout.Trunk, batch.Trunk, rows, filling: 1);
        var (pageStart, pathStart) = ((nint)(block + layout.PageStart), (nint)(block + layout.PathStart));
        for (var i = 0; i < rows.Bucket; i++)
        {
            ((int*)pageStart)[i] = (pages / sizeof(int)) + (i < rows.Count ? batch.PageStart[rows.First + i] : 0);
            ((int*)pathStart)[i] = (paths / sizeof(int)) + (i < rows.Count ? batch.PathStart[rows.First + i] : 0);
        }

        return paths + (batch.PathCount * sizeof(int));
    }
}
