using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class MatMulTests(TestBackend backend) : OperationFixture(backend)
{
    private static readonly DType[] WeightTypes = [DType.F32, DType.F16, DType.BF16];

    [Test, Pairwise]
    public void MatMul_EveryShapeAndType_AgreesWithFloat64(
        [ValueSource(nameof(WeightTypes))] DType dtype,
        [Values(1, 2, 3, 4, 7, 33)] int rows,
        [Values(1, 12, 64, 172)] int inputs,
        [Values(1, 5, 96)] int outputs)
    {
        inputs = Width(inputs);
        var (view, w) = Tensor(dtype, Floats(outputs * inputs), outputs, inputs);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(rows * inputs);

        var y = Compute(x, inputs, (plan, rows) => plan.Project(rows, weight));

        AssertClose(y, Reference(w, x, rows, inputs, outputs), (2e-6 * Math.Sqrt(inputs)) + Description.MatMulError(dtype));
    }

    [Test]
    public void MatMul_Accumulate_AddsToWhatStoodThere()
    {
        var outputs = Width(6);
        var (view, w) = Tensor(DType.BF16, Floats(outputs * 40), outputs, 40);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(3 * 40);
        var before = Floats(3 * outputs);

        var y = Compute(3, [(x, 40), (before, outputs)], (plan, v) => plan.Project(v[0], weight, epilogue: Epilogue.Add, into: v[1]));

        AssertClose(y, [.. Reference(w, x, 3, 40, outputs).Zip(before, (sum, b) => sum + b)], 1e-5 + Description.MatMulError(DType.BF16));
    }

    [Test]
    public void MatMul_StackedPartsWithABias_WriteSideBySide()
    {
        var (first, w1) = Tensor(Description.IsCuda ? DType.BF16 : DType.F32, Floats(5 * 24), 5, 24); // a device packs stacked parts as one
        var (second, w2) = Tensor(DType.BF16, Floats(7 * 24), 7, 24);
        var (bias, b) = Tensor(DType.F32, Floats(7), 7);
        using var weight = Backend.ImportWeight([first, second], [null, bias]);
        var x = Floats(2 * 24);

        var y = Compute(x, 24, (plan, rows) => plan.Project(rows, weight));

        var all = Reference([.. w1, .. w2], x, 2, 24, 12);
        for (var i = 0; i < 2 * 7; i++)
        {
            all[(i / 7 * 12) + 5 + (i % 7)] += b[i % 7];
        }

        AssertClose(y, all, 1e-5 + Description.MatMulError(DType.BF16));
    }

    [Test]
    public void MatMul_ARowAmongOthers_HasTheBitsItHasAlone([ValueSource(nameof(WeightTypes))] DType dtype)
    {
        const int Inputs = 172, Outputs = 97, Rows = 19;
        var (view, _) = Tensor(dtype, Floats(Outputs * Inputs), Outputs, Inputs);
        using var weight = Backend.ImportWeight([view], [null]);
        var x = Floats(Rows * Inputs);
        var together = Compute(x, Inputs, (plan, rows) => plan.Project(rows, weight));

        for (var row = 0; row < Rows; row++)
        {
            var alone = Compute(x[(row * Inputs)..((row + 1) * Inputs)], Inputs, (plan, rows) => plan.Project(rows, weight));
            Assert.That(alone, Is.EqualTo(together[(row * Outputs)..((row + 1) * Outputs)]));
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

            Assert.That(Compute(x, 16, (plan, rows) => plan.Project(rows, weight))[0], Is.EqualTo((float)(Half)value));
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
    public void Project_RowsOfAnotherWidth_AreRefused()
    {
        var (view, _) = Tensor(DType.F32, Floats(8), 2, 4);
        using var weight = Backend.ImportWeight([view], [null]);
        Assert.That(() => Compute(Floats(6), 3, (plan, rows) => plan.Project(rows, weight)), Throws.ArgumentException.With.Message.Contains("4 floats"));
    }

    [Test]
    public void Project_WithAMultiplier_ScalesWhatIsStoredOrAdded()
    {
        var outputs = Width(6);
        var (view, w) = Tensor(DType.F32, Floats(outputs * 40), outputs, 40);
        using var weight = Backend.ImportWeight([view], [null]);
        float[] x = Floats(3 * 40), before = Floats(3 * outputs);
        var reference = Reference(w, x, 3, 40, outputs);

        var stored = Compute(x, 40, (plan, rows) => plan.Project(rows, weight, multiplier: 0.3f));
        var added = Compute(3, [(x, 40), (before, outputs)], (plan, v) => plan.Project(v[0], weight, epilogue: Epilogue.Add, into: v[1], multiplier: 0.3f));

        AssertClose(stored, [.. reference.Select(sum => 0.3f * sum)], 1e-5 + Description.MatMulError(DType.F32));
        AssertClose(added, [.. reference.Zip(before, (sum, b) => (0.3f * sum) + b)], 1e-5 + Description.MatMulError(DType.F32));
    }

    /// <summary>A backend may compute a norm with the projection behind it, and an activation with the one before it; no bit may differ.</summary>
    [Test]
    public void Project_WithANormBeforeAndSwiGluAfter_HasTheBitsOfOneAfterTheOther(
        [ValueSource(nameof(WeightTypes))] DType dtype, [Values(1, 6)] int rows, [Values(5, 32, 700)] int half)
    {
        const int Inputs = 72;
        half = Width(half);
        using var weight = Backend.ImportWeight(
            [Tensor(dtype, Floats(half * Inputs), half, Inputs).View, Tensor(dtype, Floats(half * Inputs), half, Inputs).View], [null, null]);
        var gain = Gain(Floats(Inputs));
        var x = Floats(rows * Inputs);

        var fused = Compute(x, Inputs, (plan, v) => plan.Project(v, weight, gain, Epilogue.SwiGlu));

        var projected = Compute(x, Inputs, (plan, v) => plan.Project(plan.Normalize(v, gain), weight));
        var apart = Compute(projected, 2 * half, (plan, v) => plan.Project(v, Identity(2 * half), epilogue: Epilogue.SwiGlu));
        if (Description.RowError(dtype) > 0)
        {
            AssertClose(fused, Array.ConvertAll(apart, value => (double)value), 3 * Description.RowError(dtype)); // what is projected twice is rounded twice
        }
        else
        {
            Assert.That(fused, Is.EqualTo(apart));
        }
    }

    /// <summary>Some back ends leave what SwiGLU makes as the rows that the next product takes, which depend on its weights.</summary>
    [Test]
    public void Project_OfWhatSwiGluMakes_TakesWeightsOfAnotherType([ValueSource(nameof(WeightTypes))] DType gateUp, [ValueSource(nameof(WeightTypes))] DType down)
    {
        const int Rows = 11, Inputs = 40, Half = 136;
        using var first = Backend.ImportWeight(
            [Tensor(gateUp, Floats(Half * Inputs), Half, Inputs).View, Tensor(gateUp, Floats(Half * Inputs), Half, Inputs).View], [null, null]);
        using var second = Backend.ImportWeight([Tensor(down, Floats(48 * Half), 48, Half).View], [null]);
        var x = Floats(Rows * Inputs);

        var together = Compute(x, Inputs, (plan, v) => plan.Project(plan.Project(v, first, epilogue: Epilogue.SwiGlu), second));

        var made = Compute(x, Inputs, (plan, v) => plan.Project(v, first, epilogue: Epilogue.SwiGlu));
        var apart = Compute(made, Half, (plan, v) => plan.Project(v, second));
        AssertClose(together, Array.ConvertAll(apart, value => (double)value), 1e-5 + Description.MatMulError(down));
    }

    internal static double[] Reference(float[] w, float[] x, int rows, int inputs, int outputs)
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
