using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class MatMulTests(TestBackend backend) : OperationFixture(backend)
{
    private static readonly DType[] WeightTypes = [DType.F32, DType.F16, DType.BF16];

    [Test]
    public void MatMul_EveryShapeAndType_AgreesWithFloat64(
        [ValueSource(nameof(WeightTypes))] DType dtype,
        [Values(1, 2, 3, 4, 7, 33)] int rows,
        [Values(1, 12, 64, 172)] int inputs,
        [Values(1, 5, 96)] int outputs)
    {
        var (view, w) = Tensor(dtype, Floats(outputs * inputs), outputs, inputs);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(rows * inputs);
        var y = Buffer(rows * outputs);

        Backend.MatMul(weight, Buffer(x), y, rows, accumulate: false);

        AssertClose(Read(y), Reference(w, x, rows, inputs, outputs), (2e-6 * Math.Sqrt(inputs)) + Description.MatMulError(dtype));
    }

    [Test]
    public void MatMul_Accumulate_AddsToWhatStoodThere()
    {
        var (view, w) = Tensor(DType.BF16, Floats(6 * 40), 6, 40);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(3 * 40);
        var before = Floats(3 * 6);
        var y = Buffer(before);

        Backend.MatMul(weight, Buffer(x), y, 3, accumulate: true);

        AssertClose(Read(y), [.. Reference(w, x, 3, 40, 6).Zip(before, (sum, b) => sum + b)], 1e-5 + Description.MatMulError(DType.BF16));
    }

    [Test]
    public void MatMul_StackedPartsWithABias_WriteSideBySide()
    {
        var (first, w1) = Tensor(DType.F32, Floats(5 * 24), 5, 24);
        var (second, w2) = Tensor(DType.BF16, Floats(7 * 24), 7, 24);
        var (bias, b) = Tensor(DType.F32, Floats(7), 7);
        using var weight = Backend.ImportWeight([first, second], [null, bias]);
        var x = Floats(2 * 24);
        var y = Buffer(2 * 12);

        Backend.MatMul(weight, Buffer(x), y, 2, accumulate: false);

        var all = Reference([.. w1, .. w2], x, 2, 24, 12);
        for (var i = 0; i < 2 * 7; i++)
        {
            all[(i / 7 * 12) + 5 + (i % 7)] += b[i % 7];
        }

        AssertClose(Read(y), all, 1e-5 + Description.MatMulError(DType.BF16));
    }

    [Test]
    public void MatMul_ARowAmongOthers_HasTheBitsItHasAlone([ValueSource(nameof(WeightTypes))] DType dtype)
    {
        const int Inputs = 172, Outputs = 97, Rows = 19;
        var (view, _) = Tensor(dtype, Floats(Outputs * Inputs), Outputs, Inputs);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(Rows * Inputs);
        var together = Buffer(Rows * Outputs);
        Backend.MatMul(weight, Buffer(x), together, Rows, accumulate: false);

        for (var row = 0; row < Rows; row++)
        {
            var alone = Buffer(Outputs);
            Backend.MatMul(weight, Buffer(x[(row * Inputs)..((row + 1) * Inputs)]), alone, 1, accumulate: false);
            Assert.That(Read(alone), Is.EqualTo(Read(together)[(row * Outputs)..((row + 1) * Outputs)]));
        }
    }

    [Test]
    public void MatMul_F16SpecialValues_AreReadExactly()
    {
        float[] special = [0f, -0f, 6e-8f, -6e-5f, 65504f, float.PositiveInfinity, float.NegativeInfinity, float.NaN];
        foreach (var value in special)
        {
            var row = new float[16];
            row[3] = value;
            var (view, _) = Tensor(DType.F16, row, 1, 16);
            using var weight = Backend.ImportWeight([view], [null]);
            var x = new float[16];
            x[3] = 1;
            var y = Buffer(1);

            Backend.MatMul(weight, Buffer(x), y, 1, accumulate: false);

            Assert.That(Read(y)[0], Is.EqualTo((float)(Half)value));
        }
    }

    [Test]
    public void ImportWeight_AnElementTypeWithoutAKernel_IsRefusedByName()
    {
        var view = new TensorView("scores", DType.I8, [0, 4], 0, 0);
        var error = Assert.Throws<ArgumentException>(() => Backend.ImportWeight([view], [null]))!;
        Assert.That(error.Message, Does.Contain("scores").And.Contain("I8"));
    }

    [Test]
    public void MatMul_ABufferTooSmall_IsRefused()
    {
        var (view, _) = Tensor(DType.F32, Floats(8), 2, 4);
        using var weight = Backend.ImportWeight([view], [null]);
        Assert.Throws<ArgumentException>(() => Backend.MatMul(weight, Buffer(4), Buffer(2), 2, accumulate: false));
    }

    private static double[] Reference(float[] w, float[] x, int rows, int inputs, int outputs)
    {
        var y = new double[rows * outputs];
        for (var i = 0; i < y.Length; i++)
        {
            var (row, o) = (i / outputs, i % outputs);
            for (var k = 0; k < inputs; k++)
            {
                y[i] += (double)w[(o * inputs) + k] * x[(row * inputs) + k];
            }
        }

        return y;
    }
}
