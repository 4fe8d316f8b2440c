using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class CounterRandomTests
{
    /// <summary>The known answers that Salmon et al. publish with Random123 (tests/kat_vectors, "philox4x32 10").</summary>
    [TestCase(0u, 0u, 0u, 0u, 0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [TestCase(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [TestCase(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Philox_PublishedVector_GivesTheKnownAnswer(
        uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint r0, uint r1, uint r2, uint r3)
    {
        Assert.That(CounterRandom.Philox(c0, c1, c2, c3, k0, k1), Is.EqualTo((r0, r1, r2, r3)));
    }

    [Test]
    public void Uniform_TakesTheTop53BitsOfTheFirstTwoWords()
    {
        var (word0, word1, _, _) = CounterRandom.Philox(0x89abcdef, 0x01234567, 5, 0, 0x9abcdef0, 0x12345678);

        var expected = Math.ScaleB(((ulong)word1 << 21) | (word0 >> 11), -53);

        Assert.That(CounterRandom.Uniform(0x123456789abcdef0, 0x0123456789abcdef, 5), Is.EqualTo(expected));
    }

    [Test]
    public void Uniform_ExtremeArguments_StaysBelowOne(
        [Values(0ul, 1ul, ulong.MaxValue)] ulong seed, [Values(0, -1, long.MinValue, long.MaxValue)] long position, [Values(0u, uint.MaxValue)] uint draw)
    {
        Assert.That(CounterRandom.Uniform(seed, position, draw), Is.InRange(0.0, Math.BitDecrement(1.0)));
    }

    [Test]
    public void Uniform_EveryArgument_Matters()
    {
        double[] numbers =
        [
            CounterRandom.Uniform(1, 2, 3), CounterRandom.Uniform(2, 2, 3), CounterRandom.Uniform(1 + (1ul << 32), 2, 3),
            CounterRandom.Uniform(1, 3, 3), CounterRandom.Uniform(1, 2 + (1L << 32), 3), CounterRandom.Uniform(1, 2, 4),
        ];

        Assert.That(numbers, Is.Unique);
    }

    [Test]
    public void Uniform_ManyPositions_FillsEqualBinsEqually()
    {
        var counts = new long[64];
        for (var position = 0; position < 100_000; position++)
        {
            counts[(int)(CounterRandom.Uniform(7, position, 0) * counts.Length)]++;
        }

        Assert.That(ChiSquare.Rejects(counts, Enumerable.Repeat(1.0 / 64, 64).ToArray()), Is.False);
    }
}
