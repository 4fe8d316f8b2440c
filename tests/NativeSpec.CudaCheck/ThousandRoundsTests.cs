using System.Diagnostics;
using NativeSpec.Backends.Cuda;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends.Cuda;
using NativeSpec.Tests.Model;

namespace NativeSpec.CudaCheck;

/// <summary>Round after round as an engine has them, of a model that is so small that the host's share shows.</summary>
public sealed class ThousandRoundsTests
{
    [Test]
    public void Forward_AThousandTimes_AllocatesNothingAndGivesTheSameBits()
    {
        var rounds = CudaEmulator.IsEmulated ? 20 : 1000;
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (sequence, forest, tree) = (run.Open(), new Forest(1), ModelRun.RandomTree(new Random(1), 16, 300));
        run.Append(sequence, [1, 2, 3]);
        for (var round = 0; round < 3; round++)
        {
            Step(); // the third is a graph
        }

        var first = run.Model.Logits(15).ToArray();
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var begin = Stopwatch.GetTimestamp();
        for (var round = 0; round < rounds; round++)
        {
            Step();
        }

        var (elapsed, bytes) = (Stopwatch.GetElapsedTime(begin), GC.GetAllocatedBytesForCurrentThread() - allocated);
        Assert.That(bytes, Is.Zero);
        Assert.That(run.Model.Logits(15).ToArray(), Is.EqualTo(first));
        var kernels = ((CudaProgram)run.Model.Program).Measure(20);
        var (each, device) = (elapsed.TotalMicroseconds / rounds, kernels.Sum(kernel => kernel.Seconds) * 1e6);
        TestContext.Out.WriteLine(FormattableString.Invariant(
            $"rounds: {rounds} of one layer and 16 rows, {each:F1} us each, of which {device:F1} us are {kernels.Sum(kernel => kernel.Launches)} kernels timed alone: the host, copies and gaps take {each - device:F1} us; {bytes} bytes allocated"));

        void Step()
        {
            forest.Clear();
            forest.Add(sequence, tree, 0);
            run.Model.Forward(forest);
        }
    }
}
