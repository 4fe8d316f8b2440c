using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Weights of every format compute what they do on the processor, but for the rounding of rows: packed ones have the same whole numbers and
/// scales, so they are as close to the processor's packed ones as stored ones to stored ones.</summary>
public sealed class CudaFormatTests
{
    [TestCase(DType.F32, WeightFormat.AsStored)]
    [TestCase(DType.F16, WeightFormat.AsStored)]
    [TestCase(DType.BF16, WeightFormat.AsStored)]
    [TestCase(DType.BF16, WeightFormat.Q8)]
    [TestCase(DType.F32, WeightFormat.Q4)]
    public void Forward_WeightsOfAFormat_AreTheProcessorsNumbers(DType dtype, WeightFormat format)
    {
        CudaEmulator.Require();
        using var weights = new SyntheticModel(TestConfigs.Biased with { HiddenSize = 72, IntermediateSize = 136, NumHiddenLayers = 2 }, dtype, 3);
        int[] tokens = [.. Enumerable.Range(0, 20).Select(i => i * 13 % 300)];
        IBackend processor = format == WeightFormat.AsStored ? CpuBackend.Create() : NativeBackend.TryCreate(new NativeOptions { Weights = format }, out var reason)!;
        if (processor is null)
        {
            Assert.Ignore("the native library is not built, which packs weights");
        }

        using var expected = new ModelRun(processor!, weights.Config, weights.Tensors);
        using var actual = new ModelRun(CudaEmulator.Create(new CudaOptions { Weights = format }), weights.Config, weights.Tensors);

        var wanted = expected.Append(expected.Open(), tokens, chunk: 20).SelectMany(row => row).ToArray();
        var logits = actual.Append(actual.Open(), tokens, chunk: 20).SelectMany(row => row).ToArray();

        // Beside packed weights the processor rounds rows to 8 bits.
        Assert.That(logits, Is.EqualTo(wanted).Within((format == WeightFormat.AsStored ? 0.01 : 0.03) * wanted.Max(Math.Abs)));
    }

    /// <summary>F16 rows round to 11 bits and BF16 keys and values to 8: what is left without the latter is the former.</summary>
    [TestCase(20)]
    [TestCase(128)]
    public void Forward_KeysAndValuesInF32_IsCloserToTheProcessor(int headDim)
    {
        CudaEmulator.Require();
        if (headDim > 64)
        {
            CudaEmulator.RequireWideHeads(KvFormat.F32);
        }

        using var weights = new SyntheticModel(TestConfigs.Mixed with { HeadDim = headDim }, DType.F16, 3);
        int[] tokens = [.. Enumerable.Range(0, 70).Select(i => i * 13 % 300)];
        var wanted = Logits(CpuBackend.Create());
        double Error(KvFormat kv) => Math.Sqrt(Logits(CudaEmulator.Create(new CudaOptions { KvFormat = kv })).Zip(wanted, (actual, value) => Math.Pow(actual - value, 2)).Average());

        var (bf16, f32) = (Error(KvFormat.BF16), Error(KvFormat.F32));
        Assert.That(f32, Is.LessThan(bf16 / 3));

        float[] Logits(IBackend backend)
        {
            using var run = new ModelRun(backend, weights.Config, weights.Tensors);
            return [.. run.Append(run.Open(), tokens, chunk: 35).SelectMany(row => row)];
        }
    }

    /// <summary>Beside weights in F32 rows are two parts, whose sums are added behind the product, for a vocabulary of any size: here wider than shared memory
    /// holds, and no multiple of four.</summary>
    [Test]
    public void Forward_InF32_HasTheManagedLogitsToSixteenBits([Values(25_001, 300)] int vocabulary)
    {
        CudaEmulator.Require();
        var config = TestConfigs.Tiny with { NumHiddenLayers = 2, VocabSize = vocabulary };
        using var weights = new SyntheticModel(config, DType.F32, 5);
        int[] tokens = [.. Enumerable.Range(0, 20).Select(i => i * 37 % 300)];

        var expected = Logits(CpuBackend.Create(new CpuOptions { Threads = 1 }));

        Assert.That(Logits(CudaEmulator.Create(new CudaOptions { KvFormat = KvFormat.F32 })), Is.EqualTo(expected).Within(1e-4 * expected.Max(Math.Abs)));

        float[] Logits(IBackend backend)
        {
            using var run = new ModelRun(backend, config, weights.Tensors);
            return run.Append(run.Open(), tokens, chunk: 20)[^1];
        }
    }

    [Test]
    public void KvFormatOnDevice_WhereNobodySays_IsThatOfWeightsThatStayInF32()
    {
        using SyntheticModel f32 = new(TestConfigs.Tiny, DType.F32, 5), f16 = new(TestConfigs.Tiny, DType.F16, 5);
        Assert.That(EngineBackend.KvFormatOnDevice(new EngineOptions(), f32.Tensors), Is.EqualTo(KvFormat.F32));
        Assert.That(EngineBackend.KvFormatOnDevice(new EngineOptions(), f16.Tensors), Is.EqualTo(KvFormat.BF16));
        Assert.That(EngineBackend.KvFormatOnDevice(new EngineOptions { Weights = WeightFormat.Q8 }, f32.Tensors), Is.EqualTo(KvFormat.BF16));
        Assert.That(EngineBackend.KvFormatOnDevice(new EngineOptions { KvFormat = KvFormat.BF16 }, f32.Tensors), Is.EqualTo(KvFormat.BF16));
    }

    [Test]
    public void Create_KeysAndValuesInF32_TakeTwiceTheMemoryWhereTheyAreAskedFor([Values] bool isNamed)
    {
        CudaEmulator.Require();
        var options = new EngineOptions { Backend = isNamed ? BackendKind.Cuda : null, Device = 0 };
        using IBackend usual = EngineBackend.Create(options), whole = EngineBackend.Create(options with { KvFormat = KvFormat.F32 });
        var shape = new KvShape(Layers: 2, Rows: 64, Heads: 4, KvHeads: 2, HeadDim: 64);

        Assert.That((usual.Name, whole.Name), Is.EqualTo(("cuda", "cuda")));
        Assert.That((usual.KvBytesPerRow(shape), whole.KvBytesPerRow(shape)), Is.EqualTo((2L * 2 * 2 * 64 * 2, 2L * 2 * 2 * 64 * 4)));
        Assert.That(whole.Description, Does.Contain("F32 keys and values"), "a profile of another format is another profile");
        Assert.That(usual.Description, Does.Not.Contain("keys and values"));
    }
}
