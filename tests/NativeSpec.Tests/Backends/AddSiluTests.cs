using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class AddSiluTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void AddSilu_EveryWidth_AgreesWithFloat64([Values(1, 17, 172, 700)] int width, [Values(0.1f, 10f, 200f)] float amplitude)
    {
        const int Rows = 3;
        width = Width(width);
        float[] x = Floats(Rows * width, amplitude), y = Floats(Rows * width, amplitude);

        var sum = Compute(Rows, [(x, width), (y, width)], (plan, v) => plan.Project(v[1], Identity(width), epilogue: Epilogue.AddSilu, into: v[0]));

        AssertClose(sum, [.. x.Zip(y, (a, b) => a + (b / (1 + Math.Exp(-(double)b))))], 2e-6 + Description.RowError(DType.F32));
    }

    [Test]
    public void AddSilu_OntoItsOwnInput_GivesTheSame()
    {
        var x = Floats(3 * 40);
        var sum = Compute(x, 40, (plan, v) => plan.Project(v, Identity(40), epilogue: Epilogue.AddSilu, into: v));
        AssertClose(sum, [.. x.Select(a => a + (a / (1 + Math.Exp(-(double)a))))], 2e-6 + Description.RowError(DType.F32));
    }

    [Test]
    public void AddSilu_Zeros_LeaveTheBitsAlone()
    {
        var x = Floats(40);
        Assert.That(Compute(1, [(x, 40), (new float[40], 40)], (plan, v) => plan.Project(v[1], Identity(40), epilogue: Epilogue.AddSilu, into: v[0])), Is.EqualTo(x));
    }

    [Test]
    public void AddSilu_NotANumber_StaysNotANumber()
    {
        var bias = Floats(40);
        bias[7] = float.NaN;
        using var weight = Backend.ImportWeight([Tensor(DType.F32, Floats(40 * Width(1)), 40, Width(1)).View], [Tensor(DType.F32, bias, 40).View]);

        var sum = Compute(1, [(new float[40], 40), (First(Width(1)), Width(1))], (plan, v) => plan.Project(v[1], weight, epilogue: Epilogue.AddSilu, into: v[0]));

        Assert.That(sum[7], Is.NaN);
        Assert.That(sum[6], Is.Not.NaN);
    }

    [Test]
    public void AddSilu_WithNothingToAddTo_IsRefused() =>
        Assert.That(() => Compute(Floats(40), 40, (plan, v) => plan.Project(v, Identity(40), epilogue: Epilogue.AddSilu)), Throws.ArgumentNullException);
}
