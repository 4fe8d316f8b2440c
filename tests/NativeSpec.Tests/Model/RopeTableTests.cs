using NativeSpec.Loading.Llama;
using NativeSpec.Model;

namespace NativeSpec.Tests.Model;

public sealed class RopeTableTests
{
    [Test]
    public void Frequencies_Unscaled_ArePowersOfTheta()
        => Assert.That(RopeTable.Frequencies(TestConfigs.Tiny with { HeadDim = 4, RopeTheta = 100 }), Is.EqualTo(new[] { 1, 0.1 }).Within(1e-15));

    [Test]
    public void Frequencies_Linear_AreDividedByTheFactor()
    {
        var config = TestConfigs.Tiny with { HeadDim = 4, RopeTheta = 100, RopeScaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4 } };
        Assert.That(RopeTable.Frequencies(config), Is.EqualTo(new[] { 0.25, 0.025 }).Within(1e-15));
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
        var plain = RopeTable.Frequencies(config with { RopeScaling = null });
        var scaled = RopeTable.Frequencies(config);
        for (var i = 0; i < 64; i++)
        {
            var wavelength = 2 * Math.PI / plain[i];
            var smooth = ((8192 / wavelength) - 1) / (4 - 1);
            var expected = wavelength < 2048 ? plain[i] : wavelength > 8192 ? plain[i] / 8 : ((1 - smooth) * plain[i] / 8) + (smooth * plain[i]);
            Assert.That(scaled[i], Is.EqualTo(expected).Within(1e-12 * expected), $"pair {i}");
        }
    }
}
