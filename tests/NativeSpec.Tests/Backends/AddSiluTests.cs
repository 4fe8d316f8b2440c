namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class AddSiluTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void AddSilu_EveryWidth_AgreesWithFloat64([Values(1, 17, 172, 2048)] int width, [Values(0.1f, 10f, 200f)] float amplitude)
    {
        const int Rows = 3;
        float[] x = Floats(Rows * width, amplitude), y = Floats(Rows * width, amplitude);
        var sum = Buffer(x);

        Backend.AddSilu(sum, Buffer(y), Rows, width);

        AssertClose(Read(sum), [.. x.Zip(y, (a, b) => a + (b / (1 + Math.Exp(-(double)b))))], 2e-6);
    }

    [Test]
    public void AddSilu_Zeros_LeaveTheBitsAlone()
    {
        var x = Floats(40);
        var sum = Buffer(x);
        Backend.AddSilu(sum, Buffer(40), 1, 40);
        Assert.That(Read(sum), Is.EqualTo(x));
    }

    [Test]
    public void AddSilu_NotANumber_StaysNotANumber()
    {
        var y = Floats(40);
        y[7] = float.NaN;
        var x = Buffer(40);
        Backend.AddSilu(x, Buffer(y), 1, 40);
        Assert.That(Read(x)[7], Is.NaN);
    }

    [Test]
    public void AddSilu_ABufferThatIsTooSmall_IsRefused() =>
        Assert.That(() => Backend.AddSilu(Buffer(40), Buffer(39), 2, 20), Throws.ArgumentException.With.Message.Contains("[2, 20]"));
}
