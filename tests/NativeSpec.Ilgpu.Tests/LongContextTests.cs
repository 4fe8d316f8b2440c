using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;
using NativeSpec.Tests.Model;
using TreeAttention = NativeSpec.Ilgpu.Kernels.TreeAttention;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Contexts of more than one part of attention, which the suites of all back ends do not reach.</summary>
public sealed class LongContextTests
{
    private const int Length = (2 * TreeAttention.Part) + 70;

    /// <param name="window">0 for none; one smaller than what lies behind it leaves whole units, and a whole part, that no row sees.</param>
    [TestCase(0)]
    [TestCase(100)]
    public void Forward_PastTwoParts_HasTheManagedLogitsAndTheSameBitsInATreeAndAlone(int window)
    {
        var config = TestConfigs.Tiny with { NumHiddenLayers = 1, MaxPositionEmbeddings = 1024, SlidingWindow = window > 0 ? window : null };
        using var weights = new SyntheticModel(config, DType.F32, 4);
        using var run = new ModelRun(TestBackend.All.First().Create(), config, weights.Tensors, cacheTokens: 4096, context: 1024);
        using var managed = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 1 }), config, weights.Tensors, cacheTokens: 4096, context: 1024);
        int[] prompt = [.. Enumerable.Range(0, Length).Select(i => i * 13 % 300)];
        using var sequence = run.Open(1024);
        using var expected = managed.Open(1024);
        var (logits, of) = (run.Append(sequence, prompt, chunk: 128)[^1], managed.Append(expected, prompt, chunk: 128)[^1]);
        Assert.That(logits, Is.EqualTo(of).Within(1e-4 * of.Max(Math.Abs)));

        var tree = ModelRun.RandomTree(new Random(2), 12, 300);
        var inTree = run.Forward((sequence, tree))[0];
        for (var node = 0; node < tree.Count; node += 3)
        {
            sequence.Truncate(Length);
            int[] path = [.. ModelRun.PathTo(tree, node).Select(n => tree.Tokens[n])];
            Assert.That(run.Append(sequence, path)[^1], Is.EqualTo(inTree[node]), $"node {node}");
        }
    }

    /// <summary>A program that has served a cache of one page makes its room anew for a larger one.</summary>
    [Test]
    public void Run_WithALargerCacheThanTheFirst_HasRoomForIt()
    {
        const int Heads = 4, HeadDim = 16, Last = (2 * TreeAttention.Part) + 9;
        using var backend = new IlgpuBackend(TestBackend.SharedDevice, ownsDevice: false);
        using BackendKv small = backend.AllocateKv(new KvShape(1, RowBatch.PageSize, Heads, Heads, HeadDim)), large = backend.AllocateKv(new KvShape(1, 1024, Heads, Heads, HeadDim));
        var attention = new AttentionPlan(0, Heads, Heads, HeadDim) { Scale = 0.25f, RotaryDim = HeadDim };
        using var angles = new RotationAngles(new double[HeadDim / 2], magnitude: 1, Last + 1);
        angles.Reach(Last);
        var (after, bytes) = Attend(small, large);
        var (alone, expected) = Attend(large);
        Assert.That(bytes, Is.EqualTo(expected), "as much room as where the large one comes first");
        Assert.That(after, Is.EqualTo(alone));
        Assert.That(after, Has.All.Not.Zero);

        (float[] Row, long Bytes) Attend(params BackendKv[] caches)
        {
            var plan = new ForwardPlan(1, 1);
            var x = plan.Input(attention.QkvWidth);
            plan.RopeAppend(x, attention);
            var y = plan.Keep(plan.Attend(x, attention));
            using var program = backend.Compile(plan);
            foreach (var cache in caches)
            {
                var position = Math.Min(cache.Shape.Rows, Last + 1) - 1;
                var batch = new RowBatch(1, 16, angles) { Count = 1, LogitCount = 1, PageCount = cache.Shape.Rows / RowBatch.PageSize };
                for (var page = 0; page < batch.PageCount; page++)
                {
                    batch.Pages[page] = page;
                }

                (batch.Positions[0], batch.KvRows[0], batch.Trunk[0]) = (position, position, position + 1);
                program.Write(x, 0, [.. Enumerable.Range(1, attention.QkvWidth).Select(i => i / 64f)]);
                program.Run(batch, cache);
            }

            return (program.Read(y, 0).ToArray(), program.BufferBytes);
        }
    }

    [Test]
    public void RowsAtOnce_InALongContext_AreFewerButNeverNone()
    {
        using var room = new AttentionRoom(TestBackend.SharedDevice, rows: 4, heads: 64, headDim: 8, context: 100_000);
        Assert.That(AttentionRoom.ContextOf(100_000), Is.EqualTo(100_096));
        Assert.That(room.RowsAtOnce(100_096), Is.EqualTo(2));
        Assert.That(room.RowsAtOnce(TreeAttention.Part), Is.EqualTo(4));
        Assert.That(() => room.RowsAtOnce(100_352), Throws.InstanceOf<ArgumentOutOfRangeException>(), "and none where a row does not fit");
    }
}
