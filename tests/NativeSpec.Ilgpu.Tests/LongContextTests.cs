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

    [Test]
    public void Forward_PastTwoParts_HasTheManagedLogitsAndTheSameBitsInATreeAndAlone()
    {
        var config = TestConfigs.Tiny with { NumHiddenLayers = 1, MaxPositionEmbeddings = 1024 };
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

    [Test]
    public void RowsAtOnce_InALongContext_AreFewerButNeverNone()
    {
        using var room = new AttentionRoom(TestBackend.SharedDevice, rows: 4, heads: 64, headDim: 8, context: 100_000);
        Assert.That(AttentionRoom.ContextOf(100_000), Is.EqualTo(100_096));
        Assert.That(room.RowsAtOnce(100_096), Is.EqualTo(2));
        Assert.That(room.RowsAtOnce(TreeAttention.Part), Is.EqualTo(4));
    }
}
