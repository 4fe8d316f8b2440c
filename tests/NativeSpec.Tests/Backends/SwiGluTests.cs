using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class SwiGluTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void SwiGlu_EveryWidth_AgreesWithFloat64([Values(1, 17, 172, 700)] int width, [Values(0.1f, 10f, 200f)] float amplitude)
    {
        const int Rows = 3;
        width = Width(width);
        var gateUp = Floats(Rows * 2 * width, amplitude);

        var y = Compute(gateUp, 2 * width, (plan, v) => plan.Project(v, Identity(2 * width), epilogue: Epilogue.SwiGlu));

        var expected = new double[Rows * width];
        for (var i = 0; i < expected.Length; i++)
        {
            double gate = gateUp[(i / width * 2 * width) + (i % width)], up = gateUp[(i / width * 2 * width) + width + (i % width)];
            expected[i] = gate / (1 + Math.Exp(-gate)) * up;
        }

        AssertClose(y, expected, 2e-6 + (2 * Description.RowError(DType.F32)));
    }

    [Test]
    public void SwiGlu_NotANumber_StaysNotANumber()
    {
        // Not through the identity, which would spread it over the row.
        var (view, _) = Tensor(NativeSpec.Tensors.DType.F32, Floats(80 * Width(1)), 80, Width(1));
        var bias = Floats(80);
        bias[7] = float.NaN;
        using var weight = Backend.ImportWeight([view], [Tensor(NativeSpec.Tensors.DType.F32, bias, 80).View]);

        var y = Compute(First(Width(1)), Width(1), (plan, v) => plan.Project(v, weight, epilogue: Epilogue.SwiGlu));

        Assert.That(y[7], Is.NaN);
        Assert.That(y[6], Is.Not.NaN);
    }
}
