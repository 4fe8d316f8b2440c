using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>Turns a forest into the plain rows that a backend works on: positions, cache rows, and what each node sees.</summary>
internal sealed class BatchBuilder(int vocabSize)
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

        for (var node = entry.FirstNode; node < tree.Count; node++)
        {
            var row = batch.Count++;
            var position = prefix + tree.Depths[node];
            var token = tree.Tokens[node];
            if ((uint)token >= (uint)vocabSize)
            {
                throw new ArgumentException($"token {token} at position {position} is outside the vocabulary of {vocabSize}");
            }

            batch.Tokens[row] = token;
            batch.Positions[row] = position;
            batch.KvRows[row] = sequence.RowToWrite(prefix + node);
            batch.PageStart[row] = pageStart;
            See(batch, row, sequence, tree, node);
            batch.Angles!.Reach(position);
            if (node >= entry.FirstLogitNode)
            {
                batch.LogitRows[batch.LogitCount++] = row;
            }
        }
    }

    /// <summary>A row sees the prefix, its ancestors and itself. A node at depth d lies in its own slot if it is node d; then so do all its
    /// ancestors, because a node comes after its parent.</summary>
    private static void See(RowBatch batch, int row, KvSequence sequence, TokenTree tree, int node)
    {
        var (position, top) = (batch.Positions[row], node);
        while (top != tree.Depths[top])
        {
            top = tree.Parents[top];
        }

        var trunk = sequence.Length + top + 1;
        var listed = position + 1 - trunk;
        if (listed > batch.PathRows.Length - batch.PathCount)
        {
            throw new ArgumentException($"the branches of a tree that is computed in parts are too deep for a model of {batch.MaxRows} rows");
        }

        batch.Trunk[row] = trunk;
        batch.PathStart[row] = batch.PathCount;
        batch.PathCount += listed;
        for (var (at, seen) = (batch.PathCount, node); seen > top; seen = tree.Parents[seen])
        {
            batch.PathRows[--at] = sequence.Row(sequence.Length + seen);
        }
    }
}
