using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Native;
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
}
