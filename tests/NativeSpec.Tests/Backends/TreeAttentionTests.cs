using NativeSpec.Backends;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class TreeAttentionTests(TestBackend backend) : OperationFixture(backend)
{
    /// <summary>Rope and attention together, as they run: keys and values are written by one and read by the other. A random tree after a
    /// random prefix, on pages in random order, against float64 softmax over the node's own path.</summary>
    [Test]
    public void TreeAttention_RandomTreesAndPrefixes_AgreesWithFloat64OverThePath(
        [Values(0, 1, 31, 63, 130)] int prefix, [Values(1, 2, 9)] int nodes, [Values(8, 64, 80)] int headDim, [Values(1, 4)] int group)
    {
        const int KvHeads = 2;
        var heads = KvHeads * group;
        var shape = new KvShape(Layers: 2, Rows: 8 * RowBatch.PageSize, heads, KvHeads, headDim);
        using var kv = Backend.AllocateKv(shape);
        var stride = (heads + (2 * KvHeads)) * headDim;
        var attention = new AttentionPlan(1, heads, KvHeads, headDim);
        int[] pages = [.. Enumerable.Range(0, 8).OrderBy(_ => Random.Next())];
        var all = Floats((prefix + nodes) * stride);
        int Row(int slot) => (pages[slot / RowBatch.PageSize] * RowBatch.PageSize) + (slot % RowBatch.PageSize);

        for (var position = 0; position < prefix; position++)
        {
            Compute(Batch([position], [-1], 0, pages, headDim, Row, slots: position), kv, [(all[(position * stride)..((position + 1) * stride)], stride)], (plan, v) =>
            {
                plan.RopeAppend(v[0], attention);
                return v[0];
            });
        }

        int[] parents = [.. Enumerable.Range(0, nodes).Select(node => node == 0 ? -1 : Random.Next(node))];
        var positions = new int[nodes];
        for (var node = 0; node < nodes; node++)
        {
            positions[node] = node == 0 ? prefix : positions[parents[node]] + 1;
        }

        var batch = Batch(positions, parents, prefix, pages, headDim, Row, slots: prefix);
        var y = Compute(batch, kv, [(all[(prefix * stride)..], stride)], (plan, v) =>
        {
            plan.RopeAppend(v[0], attention);
            return plan.Attend(v[0], attention);
        });

        AssertClose(y, Reference(all, stride, positions, parents, prefix, shape), 5e-6);
    }

    /// <summary>The batch as data: angle = position · 0.7^i, so that positions matter.</summary>
    private static RowBatch Batch(int[] positions, int[] parents, int prefix, int[] pages, int headDim, Func<int, int> row, int slots)
    {
        var batch = new RowBatch(positions.Length, pages.Length, headDim) { Count = positions.Length };
        pages.CopyTo(batch.Pages, 0);
        batch.PageCount = pages.Length;
        for (var node = 0; node < positions.Length; node++)
        {
            batch.Positions[node] = positions[node];
            batch.KvRows[node] = row(slots + node);
            batch.Trunk[node] = parents[node] < 0 ? positions[node] + 1 : prefix;
            batch.PathStart[node] = batch.PathCount;
            if (parents[node] >= 0)
            {
                List<int> path = [];
                for (var ancestor = node; ancestor >= 0; ancestor = parents[ancestor])
                {
                    path.Insert(0, row(slots + ancestor));
                }

                path.CopyTo(batch.PathRows, batch.PathCount);
                batch.PathCount += path.Count;
            }

            for (var i = 0; i < headDim / 2; i++)
            {
                batch.Cos[(node * headDim / 2) + i] = (float)Math.Cos(Angle(positions[node], i));
                batch.Sin[(node * headDim / 2) + i] = (float)Math.Sin(Angle(positions[node], i));
            }
        }

        return batch;
    }

    private static double Angle(int position, int i) => position * Math.Pow(0.7, i);

    private static double[] Reference(float[] all, int stride, int[] positions, int[] parents, int prefix, KvShape shape)
    {
        var (d, group) = (shape.HeadDim, shape.Heads / shape.KvHeads);
        double[] Turned(int index, int position, int column)
        {
            var result = new double[d];
            for (var i = 0; i < d / 2; i++)
            {
                double a = all[(index * stride) + column + i], b = all[(index * stride) + column + (d / 2) + i];
                var (sin, cos) = Math.SinCos(Angle(position, i));
                result[i] = (a * cos) - (b * sin);
                result[(d / 2) + i] = (b * cos) + (a * sin);
            }

            return result;
        }

        var y = new double[positions.Length * shape.Heads * d];
        for (var node = 0; node < positions.Length; node++)
        {
            var seen = Enumerable.Range(0, prefix).Select(p => (Index: p, Position: p)).ToList();
            for (var ancestor = node; ancestor >= 0; ancestor = parents[ancestor])
            {
                seen.Add((prefix + ancestor, positions[ancestor]));
            }

            for (var head = 0; head < shape.Heads; head++)
            {
                var q = Turned(prefix + node, positions[node], head * d);
                var scores = seen.Select(s => q.Zip(Turned(s.Index, s.Position, (shape.Heads + (head / group)) * d), (a, b) => a * b).Sum() / Math.Sqrt(d)).ToArray();
                var weights = scores.Select(s => Math.Exp(s - scores.Max())).ToArray();
                for (var i = 0; i < d; i++)
                {
                    var column = ((shape.Heads + shape.KvHeads + (head / group)) * d) + i;
                    y[(((node * shape.Heads) + head) * d) + i] = seen.Select((s, j) => weights[j] * all[(s.Index * stride) + column]).Sum() / weights.Sum();
                }
            }
        }

        return y;
    }
}
