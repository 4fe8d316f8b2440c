using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
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
        Assert.That(MemoryNeed.For(checkpoint, new EngineOptions { MaxSequences = 1, MaxContext = 128, KvFormat = KvFormat.BF16 }).KeyValues, Is.EqualTo(one.KeyValues / 2));
        Assert.That(one.Total, Is.EqualTo(one.Weights + one.KeyValues + one.Buffers));
    }

    [Test]
    public void For_WithDraftModels_AddsEachOnes()
    {
        using var folder = new TestFolder();
        using var draft = new TestFolder(maxPositions: 100);
        using var checkpoint = LlamaCheckpoint.Open(folder.Path);
        var options = new EngineOptions { MaxSequences = 2, MaxContext = 128, DraftOptions = new DraftModelOptions { Depth = 6, Width = 2 } };

        var without = MemoryNeed.For(checkpoint, options);
        var with = MemoryNeed.For(checkpoint, options with { DraftModels = [draft.Path, draft.Path] });

        Assert.That(with.Weights, Is.EqualTo(3 * without.Weights), "they are of one shape");
        // Two texts of 100 tokens, and for each 12 candidates and the rest of a page, in whole pages.
        Assert.That(with.KeyValues - without.KeyValues, Is.EqualTo(2 * 384 * checkpoint.KvBytesPerToken(DType.F32)));
        var limits = new ForwardLimits(MaxRows: 256 + 4, MaxLogitRows: 4, MaxSequences: 2, MaxContext: 100);
        Assert.That(with.Buffers - without.Buffers, Is.EqualTo(2 * LlamaModel.BufferBytes(checkpoint.Config, limits)));
    }

    /// <summary>The keys and values of Llama 3.2 1B: 131,072 positions of 16 layers of 8 heads of 64. Of sixteen whole contexts they are 137 GB.</summary>
    [Test]
    public async Task Load_ADraftOfAVeryLongContext_DraftsWithinItsTargets([Values(null, 300)] int? context)
    {
        using var folder = new TestFolder();
        using var draft = new TestFolder(maxPositions: 131_072, shape: TestConfigs.Tiny with
        {
            HiddenSize = 64,
            IntermediateSize = 64,
            NumHiddenLayers = 16,
            NumAttentionHeads = 8,
            NumKeyValueHeads = 8,
            HeadDim = 64,
        });
        var options = new EngineOptions { MaxContext = context, Drafters = [], DraftModels = [draft.Path], DraftOptions = new() { StopBelow = 0 } };
        using (var checkpoint = LlamaCheckpoint.Open(folder.Path))
        {
            Assert.That(MemoryNeed.For(checkpoint, options).KeyValues, Is.LessThan(2L << 30));
        }

        using var engine = InferenceEngine.Load(folder.Path, options);
        var plain = new GenerationOptions { MaxTokens = 20, Temperature = 0, IgnoreEndOfText = true, Speculation = SpeculationOptions.Off };
        var fast = await engine.CompleteAsync([1, 2, 3], plain with { Speculation = new() { Drafters = ["draft"], Unplanned = true } });
        Assert.That(fast.Ids, Is.EqualTo((await engine.CompleteAsync([1, 2, 3], plain)).Ids));
        Assert.That(fast.Speculation.Drafted, Is.GreaterThan(0));
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
