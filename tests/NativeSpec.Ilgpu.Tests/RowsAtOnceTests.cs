using NativeSpec.Backends;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;
using NativeSpec.Tests.Model;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Where there is not room for all rows of a batch they are computed in several goes, with the same bits.</summary>
public sealed class RowsAtOnceTests
{
    [Test]
    public void Forward_WithRoomForEightRowsOfProducts_HasTheBitsOfAllAtOnce()
    {
        using var weights = new SyntheticModel(TestConfigs.Mixed, DType.BF16, 3);
        var tree = ModelRun.RandomTree(new Random(4), 37, 300);
        var (all, few) = (Logits(TestBackend.All.First().Create()), Logits(new IlgpuBackend(TestBackend.SharedDevice, ownsDevice: false) { MostPartials = 1 }));
        Assert.That(few.Bytes, Is.LessThan(all.Bytes), "or nothing was computed in several goes");
        Assert.That(few.Logits, Is.EqualTo(all.Logits));

        (float[][] Logits, long Bytes) Logits(IBackend backend)
        {
            using var run = new ModelRun(backend, weights.Config, weights.Tensors);
            using var sequence = run.Open();
            run.Append(sequence, [.. Enumerable.Range(0, 41)], chunk: 41);
            return (run.Forward((sequence, tree))[0], run.Model.Program.BufferBytes);
        }
    }
}
