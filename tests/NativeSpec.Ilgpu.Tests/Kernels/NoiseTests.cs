using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Sampling;

namespace NativeSpec.Ilgpu.Tests.Kernels;

/// <summary>The noise of draws is the engine's, bit for bit.</summary>
public sealed class NoiseTests
{
    [Test]
    public void Of_AnyIdOfAnyPosition_IsTheEnginesNoise()
    {
        var random = new Random(5);
        for (var i = 0; i < 20_000; i++)
        {
            var (seed, position, id) = ((ulong)random.NextInt64(), i % 3 == 0 ? random.NextInt64(1L << 40) : random.Next(5000), random.Next(200_000));
            var prefix = Noise.Prefix(Noise.Prefixes(seed, position, id / Noise.PrefixIds), id % Noise.PrefixIds);
            Assert.That(prefix, Is.EqualTo(GumbelNoise.PrefixOf(seed, position, id)));
            Assert.That(Noise.Of<PlainArithmetic>(seed, position, id, prefix), Is.EqualTo(GumbelNoise.Of(seed, position, id)));
        }
    }

    [Test]
    public void BoundOf_EveryPrefix_IsNoLessThanTheEnginesBound()
    {
        for (var prefix = 0u; prefix <= ushort.MaxValue; prefix++)
        {
            Assert.That(Noise.BoundOf(prefix), Is.GreaterThanOrEqualTo((float)GumbelNoise.BoundOf((ushort)prefix)).And.LessThan(GumbelNoise.BoundOf((ushort)prefix) + 1e-3));
        }
    }

    [Test]
    public void Half_EveryBinary16_IsItself()
    {
        for (var bits = 0u; bits <= ushort.MaxValue; bits++)
        {
            var expected = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            Assert.That(Bits.Half(bits), Is.EqualTo(expected), $"{bits:x4}");
            Assert.That(float.IsNegative(Bits.Half(bits)) == float.IsNegative(expected) || float.IsNaN(expected));
        }
    }
}
