using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>Turns a forest into the plain rows that a backend works on: positions, cache rows, and what each node sees.</summary>
internal sealed class BatchBuilder(RopeTable rope, int headDim, int vocabSize)
{
    /// <summary>Fills <paramref name="batch"/>.</summary>
    /// <exception cref="ArgumentException">A token is outside the vocabulary, or a tree outgrows its sequence's room.</exception>
    public void Fill(RowBatch batch, Forest forest)
    {
        batch.Clear();
        foreach (ref readonly var entry in forest.Entries)
        {
            AddTree(batch, entry);
        }
    }

    private void AddTree(RowBatch batch, in Forest.Entry entry)
    {
        var (sequence, tree) = (entry.Sequence, entry.Tree);
        var prefix = sequence.Length;
        if (tree.Count > sequence.Capacity - prefix)
        {
            throw new ArgumentException($"a tree of {tree.Count} nodes after {prefix} tokens outgrows the {sequence.Capacity} tokens reserved for its sequence");
        }

        var pageStart = batch.PageCount;
        var pages = sequence.Pages[..KvCache.PagesFor(prefix + tree.Count)];
        pages.CopyTo(batch.Pages.AsSpan(pageStart));
        batch.PageCount += pages.Length;

        var first = batch.Count;
        var half = headDim / 2;
        for (var node = 0; node < tree.Count; node++)
        {
            var row = first + node;
            var position = prefix + tree.Depths[node];
            var token = tree.Tokens[node];
            if ((uint)token >= (uint)vocabSize)
            {
                throw new ArgumentException($"token {token} at position {position} is outside the vocabulary of {vocabSize}");
            }

            batch.Tokens[row] = token;
            batch.Positions[row] = position;
            batch.KvRows[row] = sequence.Row(prefix + node);
            batch.PageStart[row] = pageStart;
            See(batch, row, node == 0 ? -1 : first + tree.Parents[node], inOwnSlot: node == tree.Depths[node]);
            rope.CopyTo(position, batch.Cos.AsSpan(row * half, half), batch.Sin.AsSpan(row * half, half));
            if (node >= entry.FirstLogitNode)
            {
                batch.LogitRows[batch.LogitCount++] = row;
            }
        }

        batch.Count += tree.Count;
    }

    /// <summary>A row sees what its parent sees, and itself.</summary>
    private static void See(RowBatch batch, int row, int parent, bool inOwnSlot)
    {
        var position = batch.Positions[row];
        batch.PathStart[row] = batch.PathCount;
        if (inOwnSlot && (parent < 0 || batch.Trunk[parent] == position))
        {
            batch.Trunk[row] = position + 1;
            return;
        }

        var trunk = batch.Trunk[parent];
        batch.Trunk[row] = trunk;
        var listed = position - trunk; // positions of the parent's list
        Array.Copy(batch.PathRows, batch.PathStart[parent], batch.PathRows, batch.PathCount, listed);
        batch.PathRows[batch.PathCount + listed] = batch.KvRows[row];
        batch.PathCount += listed + 1;
    }
}
