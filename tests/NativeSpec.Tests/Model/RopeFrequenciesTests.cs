using NativeSpec.Loading.Llama;
using NativeSpec.Model;

namespace NativeSpec.Tests.Model;

public sealed class RopeFrequenciesTests
{
    [Test]
    public void Frequencies_Unscaled_ArePowersOfTheta()
        => Assert.That(RopeFrequencies.Of(TestConfigs.Tiny with { HeadDim = 4, RopeTheta = 100 }, 256), Is.EqualTo(new[] { 1, 0.1 }).Within(1e-15));

    [Test]
    public void Frequencies_Linear_AreDividedByTheFactor()
    {
        var config = TestConfigs.Tiny with { HeadDim = 4, RopeTheta = 100, RopeScaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4 } };
        Assert.That(RopeFrequencies.Of(config, 256), Is.EqualTo(new[] { 0.25, 0.025 }).Within(1e-15));
    }

    /// <summary>Llama 3.1's numbers: short waves untouched, long ones divided by 8, and between them the published blend.</summary>
    [Test]
    public void Frequencies_Llama3_KeepShortWavesAndSlowLongOnes()
    {
        var config = TestConfigs.Tiny with
        {
            HeadDim = 128,
            RopeTheta = 500_000,
            RopeScaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxPositionEmbeddings = 8192 },
        };
        var plain = RopeFrequencies.Of(config with { RopeScaling = null }, 256);
        var scaled = RopeFrequencies.Of(config, 256);
        for (var i = 0; i < 64; i++)
        {
            var wavelength = 2 * Math.PI / plain[i];
            var smooth = ((8192 / wavelength) - 1) / (4 - 1);
            var expected = wavelength < 2048 ? plain[i] : wavelength > 8192 ? plain[i] / 8 : ((1 - smooth) * plain[i] / 8) + (smooth * plain[i]);
            Assert.That(scaled[i], Is.EqualTo(expected).Within(1e-12 * expected), $"pair {i}");
        }
    }

    /// <summary>By hand, with rotated = 8, theta = 10000, original 64: the dimensions that turn 32 and once are floor(−0.497), held at 0, and
    /// ceil(1.008) = 2, so pair 0 is kept, pair 1 is half divided, and those from 2 on are divided.</summary>
    [Test]
    public void Frequencies_Yarn_AreKeptBlendedAndDivided()
    {
        var config = TestConfigs.Tiny with { HeadDim = 8, RopeScaling = new RopeScaling { Kind = RopeScalingKind.Yarn, Factor = 4, OriginalMaxPositionEmbeddings = 64 } };
        Assert.That(RopeFrequencies.Of(config, 256), Is.EqualTo(new[] { 1, 0.1 * (0.5 + (0.5 / 4)), 0.01 / 4, 0.001 / 4 }).Within(1e-15));
        Assert.That(config.RopeScaling.Magnitude, Is.EqualTo((0.1 * Math.Log(4)) + 1).Within(1e-15));
        Assert.That((config.RopeScaling with { Mscale = 0.5, MscaleAllDim = 1 }).Magnitude, Is.EqualTo(((0.05 * Math.Log(4)) + 1) / ((0.1 * Math.Log(4)) + 1)).Within(1e-15));
    }

    [TestCase(64, 1.5)]
    [TestCase(65, 6)]
    public void Frequencies_LongRope_ListGoesByTheContextThatIsRun(int context, double divisor)
    {
        var config = TestConfigs.Tiny with
        {
            HeadDim = 8,
            PartialRotaryFactor = 0.25,
            RopeScaling = new RopeScaling { Kind = RopeScalingKind.LongRope, Factor = 4, OriginalMaxPositionEmbeddings = 64, ShortFactors = [1.5], LongFactors = [6] },
        };
        Assert.That(RopeFrequencies.Of(config, context), Is.EqualTo(new[] { 1 / divisor }).Within(1e-15));
        Assert.That(config.RopeScaling.Magnitude, Is.EqualTo(Math.Sqrt(1 + (Math.Log(4) / Math.Log(64)))).Within(1e-15));
    }
}
