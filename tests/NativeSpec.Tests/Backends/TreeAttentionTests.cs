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
        => Check(prefix, nodes, headDim, group, rotaryDim: headDim, window: 0, norms: false);

    [Test]
    public void TreeAttention_WithAWindow_SeesTheLastPositionsOfThePath(
        [Values(0, 40, 130)] int prefix, [Values(1, 9)] int nodes, [Values(1, 2, 31, 32, 33, 100, 500)] int window, [Values] bool norms)
        => Check(prefix, nodes, headDim: 24, group: 3, rotaryDim: 24, window, norms);

    [Test]
    public void TreeAttention_APartOfAHeadRotated_LeavesTheRest([Values(0, 2, 18, 24)] int rotaryDim, [Values] bool norms)
        => Check(prefix: 70, nodes: 5, headDim: 24, group: 2, rotaryDim, window: 0, norms);

    [Test]
    public void RopeAppend_WhatDoesNotFitTheHeads_IsRefused()
    {
        var plan = new ForwardPlan(1, 0);
        var x = plan.Input(24);
        var attention = new AttentionPlan(0, 1, 1, 8);
        Assert.That(() => plan.RopeAppend(x, attention with { RotaryDim = 10 }), Throws.ArgumentException.With.Message.Contains("10"));
        Assert.That(() => plan.RopeAppend(x, attention with { RotaryDim = 3 }), Throws.ArgumentException.With.Message.Contains("3"));
        Assert.That(() => plan.RopeAppend(x, attention with { QNorm = Gain(new float[6]) }), Throws.ArgumentException.With.Message.Contains("6"));
        Assert.That(() => plan.Attend(x, attention with { Window = -1 }), Throws.InstanceOf<ArgumentException>());
        plan.RopeAppend(x, attention with { RotaryDim = 6 });
        using var program = Backend.Compile(plan);
        using var kv = Backend.AllocateKv(new KvShape(1, RowBatch.PageSize, 1, 1, 8));
        Assert.That(() => program.Run(new RowBatch(1, 1, 8) { Count = 1 }, kv), Throws.InstanceOf<ArgumentException>());
    }

    private void Check(int prefix, int nodes, int headDim, int group, int rotaryDim, int window, bool norms)
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

        for (var position = 0; position < prefix; position++)
        {
            Compute(Batch([position], [-1], 0, pages, rotaryDim, Row, slots: position), kv, [(all[(position * stride)..((position + 1) * stride)], stride)], (plan, v) =>
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
        var y = Compute(batch, kv, [(all[(prefix * stride)..], stride)], (plan, v) =>
        {
            plan.RopeAppend(v[0], attention);
            return plan.Attend(v[0], attention);
        });

        AssertClose(y, Reference(all, stride, positions, parents, prefix, shape, attention, norms ? qGain : null, norms ? kGain : null), 5e-6);
    }

    /// <summary>The batch as data: angle = position · 0.7^i, so that positions matter.</summary>
    private static RowBatch Batch(int[] positions, int[] parents, int prefix, int[] pages, int rotaryDim, Func<int, int> row, int slots)
    {
        var batch = new RowBatch(positions.Length, pages.Length, Math.Max(rotaryDim, 2)) { Count = positions.Length };
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

            for (var i = 0; i < rotaryDim / 2; i++)
            {
                batch.Cos[(node * rotaryDim / 2) + i] = (float)Math.Cos(Angle(positions[node], i));
                batch.Sin[(node * rotaryDim / 2) + i] = (float)Math.Sin(Angle(positions[node], i));
            }
        }

        return batch;
    }

    private static double Angle(int position, int i) => position * Math.Pow(0.7, i);

    private static double[] Reference(float[] all, int stride, int[] positions, int[] parents, int prefix, KvShape shape, AttentionPlan attention, float[]? qGain, float[]? kGain)
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
                var (sin, cos) = Math.SinCos(Angle(position, i));
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
                var scores = seen.Select(s => q.Zip(Turned(s.Index, s.Position, (shape.Heads + (head / group)) * d, kGain), (a, b) => a * b).Sum() / Math.Sqrt(d)).ToArray();
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
