using NativeSpec.Backends;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Cli.Benchmarks.Kernels;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Tests;

/// <summary>What an operation must move and compute, by which its share of the roof is told.</summary>
public sealed class KernelCasesTests
{
    [Test]
    public void Attention_OfLayersWithAWindow_IsCountedByWhatRowsSee()
    {
        const int Context = 10, Rows = 3, Window = 4;
        var shape = BenchShapes.All["15m"];
        bool[] windowed = [.. Enumerable.Range(0, shape.NumHiddenLayers).Select(layer => layer % 2 == 0)];
        using var model = new BenchModel(shape with { SlidingWindow = Window, WindowedLayers = windowed }, new EngineOptions { Backend = BackendKind.Cpu, Threads = 1 });
        using var cases = new KernelCases(model, Context, Rows);
        var attention = cases.Of(Rows).Single(one => one.Name == "tree attention");
        var width = shape.NumAttentionHeads * shape.HeadDim;
        var share = windowed.Count(sees => sees) / (double)windowed.Length;
        var seen = (share * Rows * Window) + ((1 - share) * (11 + 12 + 13));
        var read = (share * (Window + Rows - 1)) + ((1 - share) * (Context + Rows)); // rows are neighbours: together they see two more than one does
        Assert.That(attention.MultiplyAdds, Is.EqualTo(2 * seen * width).Within(1e-6));
        Assert.That(attention.Bytes, Is.EqualTo((read * 2 * shape.NumKeyValueHeads * shape.HeadDim * sizeof(float)) + (2 * Rows * width * sizeof(float))).Within(1e-6));
    }
}
