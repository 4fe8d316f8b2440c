namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class SwiGluTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void SwiGlu_EveryWidth_AgreesWithFloat64([Values(1, 17, 172, 2048)] int width, [Values(0.1f, 10f, 200f)] float amplitude)
    {
        const int Rows = 3;
        var gateUp = Floats(Rows * 2 * width, amplitude);
        var y = Buffer(Rows * width);

        Backend.SwiGlu(Buffer(gateUp), y, Rows, width);

        var expected = new double[Rows * width];
        for (var i = 0; i < expected.Length; i++)
        {
            double gate = gateUp[(i / width * 2 * width) + (i % width)], up = gateUp[(i / width * 2 * width) + width + (i % width)];
            expected[i] = gate / (1 + Math.Exp(-gate)) * up;
        }

        AssertClose(Read(y), expected, 2e-6);
    }

    [Test]
    public void SwiGlu_NotANumber_StaysNotANumber()
    {
        var gateUp = Floats(2 * 40);
        gateUp[7] = float.NaN;
        var y = Buffer(40);
        Backend.SwiGlu(Buffer(gateUp), y, 1, 40);
        Assert.That(Read(y)[7], Is.NaN);
    }
}
