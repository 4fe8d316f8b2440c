using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends.Native;

/// <summary>Packed weights through the managed side: how far a matmul and a whole forward may be from the weights as stored.</summary>
[TestFixtureSource(typeof(QuantizedTests), nameof(Backends))]
public sealed class QuantizedTests(TestBackend backend) : OperationFixture(backend)
{
    public static IEnumerable<TestBackend> Backends => TestBackend.Formats.Except(TestBackend.RoundedKv);

    /// <summary>Root of the mean squared error against float64, relative to that of the result: a step is 1/127 of a block's largest weight
    /// with 8 bits and about 1/8 with 4; errors of many products average out, and so does half of the signal.</summary>
    [Test]
    public void MatMul_PackedWeights_AgreeWithTheStoredOnesInTheMean([Values(1, 5)] int rows, [Values(100, 512)] int inputs)
    {
        const int Outputs = 200;
        var (view, w) = Tensor(DType.BF16, Floats(Outputs * inputs), Outputs, inputs);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(rows * inputs);

        var actual = Compute(x, inputs, (plan, v) => plan.Project(v, weight));

        double error = 0, scale = 0;
        for (var i = 0; i < actual.Length; i++)
        {
            var expected = Enumerable.Range(0, inputs).Sum(k => (double)w[(i % Outputs * inputs) + k] * x[(i / Outputs * inputs) + k]);
            error += Math.Pow(actual[i] - expected, 2);
            scale += expected * expected;
        }

        Assert.That(Math.Sqrt(error / scale), Is.LessThan(Backend.Description.Contains("q8", StringComparison.Ordinal) ? 0.01 : 0.09));
    }

    [Test]
    public void Embed_WithPackedWeights_StillReadsTheFilesOwn()
    {
        var (view, table) = Tensor(DType.BF16, Floats(8 * 20), 8, 20);
        using var weight = Backend.ImportWeight([view], [null]);
        var batch = new RowBatch(1, 1) { Count = 1 };
        batch.Tokens[0] = 5;

        Assert.That(Compute(batch, null, [], (plan, _) => plan.Embed(weight)), Is.EqualTo(table[100..120]));
    }
}
