using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Engine;

public sealed class MemoryNeedTests
{
    [Test]
    public void BufferBytes_AreWhatAModelAllocates([Values] bool biased)
    {
        var config = biased ? TestConfigs.Biased : TestConfigs.Tiny;
        var limits = new ForwardLimits(MaxRows: 7, MaxLogitRows: 3, MaxSequences: 2, MaxContext: 100);
        using var weights = new SyntheticModel(config, DType.F32, seed: 1);
        using var backend = new CountingBackend();
        using var model = new LlamaModel(config, weights.Tensors, backend, limits);

        var angles = 2L * limits.MaxContext * (config.HeadDim / 2); // the table of cosines and sines is the model's own
        Assert.That(LlamaModel.BufferBytes(config, limits), Is.EqualTo(backend.ProgramBytes + (sizeof(float) * angles)));
    }

    [Test]
    public void For_ACheckpoint_AddsWeightsKeysAndBuffers()
    {
        using var folder = new TestFolder();
        using var checkpoint = LlamaCheckpoint.Open(folder.Path);

        var one = MemoryNeed.For(checkpoint, new EngineOptions { MaxSequences = 1, MaxContext = 128 });
        var two = MemoryNeed.For(checkpoint, new EngineOptions { MaxSequences = 2, MaxContext = 128 });

        Assert.That(one.Weights, Is.EqualTo(checkpoint.WeightBytes));
        // The text, a round's candidates and the rest of a page, in whole pages.
        Assert.That(one.KeyValues, Is.EqualTo(320 * checkpoint.KvBytesPerToken(DType.F32)));
        Assert.That(two.KeyValues, Is.EqualTo(576 * checkpoint.KvBytesPerToken(DType.F32)));
        Assert.That(one.Total, Is.EqualTo(one.Weights + one.KeyValues + one.Buffers));
    }

    /// <summary>Remembers its programs.</summary>
    private sealed class CountingBackend : IBackend
    {
        private readonly IBackend _inner = CpuBackend.Create(new CpuOptions { Threads = 1 });

        public long ProgramBytes { get; private set; }

        public string Name => "counting";

        public string Description => "counting";

        public BackendVector ImportVector(TensorView vector) => _inner.ImportVector(vector);

        public BackendWeight ImportWeight(IReadOnlyList<TensorView> parts, IReadOnlyList<TensorView?> biases) => _inner.ImportWeight(parts, biases);

        public BackendKv AllocateKv(in KvShape shape) => throw new NotSupportedException();

        public void MoveKvRows(BackendKv kv, ReadOnlySpan<int> from, ReadOnlySpan<int> to) => throw new NotSupportedException();

        public IForwardProgram Compile(ForwardPlan plan)
        {
            var program = _inner.Compile(plan);
            ProgramBytes += program.BufferBytes;
            return program;
        }

        public void Dispose() => _inner.Dispose();
    }
}
