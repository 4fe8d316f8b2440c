namespace NativeSpec.Tests.Backends;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.AllAndCuda))]
public sealed class RmsNormTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void RmsNorm_EveryWidth_AgreesWithFloat64([Values(1, 9, 64, 192, 2048)] int width, [Values(1, 5)] int rows)
    {
        width = Width(width);
        float[] x = Floats(rows * width, 3), gain = Floats(width);
        AssertClose(Compute(x, width, (plan, v) => plan.Normalize(v, Gain(gain))), Reference(x, gain, rows), 2e-6);
    }

    [Test]
    public void RmsNorm_OntoItself_GivesTheSame()
    {
        float[] x = Floats(4 * 40), gain = Floats(40);
        AssertClose(Compute(x, 40, (plan, v) => plan.Normalize(v, Gain(gain), into: v)), Reference(x, gain, 4), 2e-6);
    }

    private static double[] Reference(float[] x, float[] gain, int rows)
    {
        var width = gain.Length;
        var y = new double[x.Length];
        for (var row = 0; row < rows; row++)
        {
            var mean = Enumerable.Range(0, width).Average(i => Math.Pow(x[(row * width) + i], 2));
            for (var i = 0; i < width; i++)
            {
                y[(row * width) + i] = x[(row * width) + i] / Math.Sqrt(mean + 1e-5) * gain[i];
            }
        }

        return y;
    }
}
