using NativeSpec.Backends;

namespace NativeSpec.Tests.Backends;

/// <summary>Rope and attention together, as they run: keys and values are written by one and read by the other.</summary>
public abstract class TreeAttentionFixture(TestBackend backend) : OperationFixture(backend)
{
    /// <summary>A random tree after a random prefix, on pages in random order, against float64 softmax over the node's own path.</summary>
    protected void Check(int prefix, int nodes, int headDim, int group, int rotaryDim, int window, bool norms)
    {
        const int KvHeads = 2;
        var heads = KvHeads * group;
        var shape = new KvShape(Layers: 2, Rows: 8 * RowBatch.PageSize, heads, KvHeads, headDim);
        using var kv = Backend.AllocateKv(shape);
        var stride = (heads + (2 * KvHeads)) * headDim;
        float[] qGain = Floats(headDim), kGain = Floats(headDim);
        var attention = new AttentionPlan(1, heads, KvHeads, headDim)
        {
            RotaryDim = rotaryDim,
            Window = window,
            QNorm = norms ? Gain(qGain) : null,
            KNorm = norms ? Gain(kGain) : null,
        };
        int[] pages = [.. Enumerable.Range(0, 8).OrderBy(_ => Random.Next())];
        var all = Floats((prefix + nodes) * stride);
        int Row(int slot) => (pages[slot / RowBatch.PageSize] * RowBatch.PageSize) + (slot % RowBatch.PageSize);

        if (prefix > 0)
        {
            int[] before = [.. Enumerable.Range(0, prefix)];
            Compute(Batch(before, [.. before.Select(_ => -1)], 0, pages, rotaryDim, Row, slots: 0), kv, [(all[..(prefix * stride)], stride)], (plan, v) =>
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

        var batch = Batch(positions, parents, prefix, pages, rotaryDim, Row, slots: prefix);
        var identity = Identity(heads * headDim); // some back ends attend for a product alone
        var y = Compute(batch, kv, [(all[(prefix * stride)..], stride)], (plan, v) =>
        {
            plan.RopeAppend(v[0], attention);
            return plan.Project(plan.Attend(v[0], attention), identity);
        });

        // A key that was turned or normed may be rounded up here and down there, where it lay between; one that was stored as it came is rounded alike.
        var tolerance = (Description.IsCuda && Description.RoundsKv) || (Description.RoundsKv && (rotaryDim > 0 || norms)) ? 2e-2 : Description.IsCuda ? 3e-5 : 5e-6;
        AssertClose(y, Reference(all, stride, positions, parents, prefix, shape, attention, norms ? qGain : null, norms ? kGain : null), tolerance);
    }

    /// <summary>The batch as data: angle = position · 0.7^i, so that positions matter.</summary>
    private RowBatch Batch(int[] positions, int[] parents, int prefix, int[] pages, int rotaryDim, Func<int, int> row, int slots)
    {
        var batch = new RowBatch(positions.Length, pages.Length, rotaryDim == 0 ? null : Angles(positions.Max() + 1, [.. Enumerable.Range(0, rotaryDim / 2).Select(Frequency)])) { Count = positions.Length };
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
        }

        return batch;
    }

    private static double Frequency(int i) => Math.Pow(0.7, i);

    private double[] Reference(float[] all, int stride, int[] positions, int[] parents, int prefix, KvShape shape, AttentionPlan attention, float[]? qGain, float[]? kGain)
    {
        var (d, group, half) = (shape.HeadDim, shape.Heads / shape.KvHeads, attention.RotaryDim / 2);
        double[] Turned(int index, int position, int column, float[]? gain)
        {
            double[] x = [.. all.Skip((index * stride) + column).Take(d).Select(value => (double)value)];
            if (gain is not null)
            {
                var mean = x.Average(value => value * value);
                x = [.. x.Select((value, i) => value / Math.Sqrt(mean + 1e-5) * gain[i])];
            }

            var result = (double[])x.Clone();
            for (var i = 0; i < half; i++)
            {
                var (sin, cos) = Math.SinCos(position * Frequency(i));
                result[i] = (x[i] * cos) - (x[half + i] * sin);
                result[half + i] = (x[half + i] * cos) + (x[i] * sin);
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

            seen.RemoveAll(key => attention.Window > 0 && key.Position <= positions[node] - attention.Window);
            for (var head = 0; head < shape.Heads; head++)
            {
                var q = Turned(prefix + node, positions[node], head * d, qGain);
                var scores = seen.Select(s => q.Zip(Turned(s.Index, s.Position, (shape.Heads + (head / group)) * d, kGain), (a, b) => a * Stored(b)).Sum() / Math.Sqrt(d)).ToArray();
                var weights = scores.Select(s => Math.Exp(s - scores.Max())).ToArray();
                for (var i = 0; i < d; i++)
                {
                    var column = ((shape.Heads + shape.KvHeads + (head / group)) * d) + i;
                    y[(((node * shape.Heads) + head) * d) + i] = seen.Select((s, j) => weights[j] * Stored(all[(s.Index * stride) + column])).Sum() / weights.Sum();
                }
            }
        }

        return y;
    }

    /// <summary>A key's or value's number as the cache holds it.</summary>
    private double Stored(double value)
    {
        if (!Description.RoundsKv || value == 0)
        {
            return value;
        }

        var last = Math.ILogB(value) - 7; // the place of the last of eight bits
        return Math.ScaleB(Math.Round(Math.ScaleB((float)value, -last), MidpointRounding.ToEven), last);
    }
}
