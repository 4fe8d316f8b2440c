using NativeSpec.Backends.Cpu;
using NativeSpec.Engine.Profiles;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Engine.Profiles;

public sealed class CostProbeTests
{
    [TestCase(2048, 64, new[] { 32, 1984 })]
    [TestCase(4096, 64, new[] { 32, 1984 })]
    [TestCase(512, 16, new[] { 32, 496 })]
    [TestCase(100, 16, new[] { 32 })]
    [TestCase(20, 16, new[] { 10 })]
    public void Measure_AnyRoom_TimesShortAndLongContextsAndLeavesTheCacheEmpty(int maxContext, int maxNodes, int[] contexts)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { MaxPositionEmbeddings = maxContext }, DType.F32, 3);
        using var backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        using var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(128, 64, 1, maxContext));
        using var cache = model.CreateCache(maxContext);

        var curve = CostProbe.Measure(model, cache, maxNodes).Curve;

        Assert.That(curve.Contexts.ToArray(), Is.EqualTo(contexts));
        Assert.That(curve.Seconds.ToArray(), Has.All.Positive);
        Assert.That(curve.Seconds.Length, Is.EqualTo(curve.Nodes.Length * contexts.Length));
        Assert.That(curve.Nodes[^1], Is.InRange(maxNodes / 2, maxNodes));
        Assert.That(cache.FreePages, Is.EqualTo(cache.TotalPages));
    }

    [Test]
    public void Measure_Cancelled_EndsAndLeavesTheCacheEmpty()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 3);
        using var backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        using var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(128, 64, 1, 128));
        using var cache = model.CreateCache(128);
        Assert.That(() => CostProbe.Measure(model, cache, 16, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(cache.FreePages, Is.EqualTo(cache.TotalPages));
    }
}
