using System.Runtime.Intrinsics;
using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>The noise: its bits, its law, and the bounds that pruning trusts.</summary>
internal sealed class GumbelNoiseTests
{
    private const ulong LargestBits = (1UL << 48) - 1;

    public static IEnumerable<TestCaseData> Widths() =>
    [
        new TestCaseData((NoiseScan.Width)NoiseScan.Find<NoiseLane, ulong>).SetArgDisplayNames("scalar"),
        new TestCaseData((NoiseScan.Width)NoiseScan.Find<NoiseLanes128, Vector128<ulong>>).SetArgDisplayNames("128 bits"),
        new TestCaseData((NoiseScan.Width)NoiseScan.Find<NoiseLanes256, Vector256<ulong>>).SetArgDisplayNames("256 bits"),
        new TestCaseData((NoiseScan.Width)NoiseScan.Find<NoiseLanes512, Vector512<ulong>>).SetArgDisplayNames("512 bits"),
        new TestCaseData(NoiseScan.Widest).SetArgDisplayNames("widest"),
    ];

    /// <summary>The definition in the documentation, word by word, from the generator that has its own known answers.</summary>
    [Test]
    public void Of_AnyId_IsMadeOfTheWordsThatTheDocumentationNames()
    {
        var random = new Random(2);
        for (var round = 0; round < 1000; round++)
        {
            var (seed, position, id) = ((ulong)random.NextInt64(), random.NextInt64(1L << 40), random.Next(200_000));
            var (low, high, key0, key1) = ((uint)position, (uint)(position >> 32), (uint)seed, (uint)(seed >> 32));
            uint[] first = Words(CounterRandom.Philox(low, high, (uint)id / 8, 1, key0, key1));
            uint[] second = Words(CounterRandom.Philox(low, high, (uint)id / 4, 2, key0, key1));
            var prefix = (ulong)((first[id % 8 / 2] >> (id % 2 == 0 ? 0 : 16)) & 0xFFFF);
            var u = ((prefix * 4294967296.0) + second[id % 4] + 0.5) / 281474976710656.0;

            Assert.That(GumbelNoise.PrefixOf(seed, position, id), Is.EqualTo(prefix));
            Assert.That(GumbelNoise.Of(seed, position, id), Is.EqualTo(-Math.Log(-Math.Log(u))).Within(1e-12));
        }

        static uint[] Words((uint, uint, uint, uint) words) => [words.Item1, words.Item2, words.Item3, words.Item4];
    }

    /// <summary>Every instruction set and device must give these very bits.</summary>
    [TestCase(0ul, 0, 0, 0x3FCDC5F3377C75ECL)]
    [TestCase(42ul, 7, 31999, unchecked((long)0xBFF7948A851FBF9DUL))]
    [TestCase(ulong.MaxValue, 1L << 40, 128255, unchecked((long)0xBFC308B663A7A30EUL))]
    public void Of_KnownPlaces_HasTheseBits(ulong seed, long position, int id, long bits)
        => Assert.That(BitConverter.DoubleToInt64Bits(GumbelNoise.Of(seed, position, id)), Is.EqualTo(bits));

    [Test]
    public void Log_AllMagnitudes_IsExactToABillionthOfAMillionth()
    {
        var random = new Random(3);
        for (var round = 0; round < 200_000; round++)
        {
            var x = (round % 4) switch
            {
                0 => random.NextDouble() + 1e-300,
                1 => Math.ScaleB(1 + random.NextDouble(), random.Next(-60, 10)),
                2 => 1 - Math.ScaleB(1 + random.NextDouble(), -random.Next(2, 50)),
                _ => (random.NextInt64(1L << 48) + 0.5) / (1L << 48),
            };
            Assert.That(GumbelNoise.Log(x), Is.EqualTo(Math.Log(x)).Within(1e-15 * Math.Abs(Math.Log(x))), $"x = {x:R}");
        }

        Assert.That(GumbelNoise.Log(1), Is.Zero);
    }

    [Test]
    public void At_TheEnds_IsFiniteAndWithinTheBounds()
    {
        Assert.That(GumbelNoise.At(0), Is.EqualTo(-Math.Log(49 * Math.Log(2))).Within(1e-12));
        Assert.That(GumbelNoise.At(LargestBits), Is.EqualTo(49 * Math.Log(2)).Within(1e-12));
        Assert.That(-GumbelNoise.Log((LargestBits + 0.5) / (1L << 48)), Is.GreaterThanOrEqualTo(GumbelNoise.LeastExponential));
    }

    [Test]
    public void BoundOf_EveryPrefix_IsAboveItsLargestNoise()
    {
        for (var prefix = 0; prefix <= ushort.MaxValue; prefix++)
        {
            Assert.That(GumbelNoise.BoundOf((ushort)prefix), Is.GreaterThan(GumbelNoise.At(((ulong)prefix << 32) | uint.MaxValue)));
        }
    }

    [TestCaseSource(nameof(Widths))]
    public void Find_AnyWidth_GivesThePrefixesOfTheDefinition(NoiseScan.Width scan)
    {
        var random = new Random(4);
        var found = new NoisePrefix[NoiseScan.BlockLength];
        for (var round = 0; round < 200; round++)
        {
            var (seed, position, block) = ((ulong)random.NextInt64() * 3, random.NextInt64(), random.Next(600));
            var all = Enumerable.Range(0, NoiseScan.BlockLength)
                .Select(i => new NoisePrefix((ushort)i, GumbelNoise.PrefixOf(seed, position, (block * NoiseScan.BlockLength) + i))).ToArray();
            var least = random.Next(4) switch
            {
                0 => (ushort)0,
                1 => all[random.Next(all.Length)].Prefix, // which is found
                _ => (ushort)(ushort.MaxValue - random.Next(1 << random.Next(17))),
            };
            var expected = all.Where(id => id.Prefix >= least);

            var count = scan(seed, position, block, least, found);

            // In the order of ids: NUnit's own comparison of sets takes a thousand times as long.
            Assert.That(found[..count].OrderBy(id => id.InBlock).SequenceEqual(expected), $"least {least}");
        }
    }

    [TestCase("ids")]
    [TestCase("positions")]
    [TestCase("seeds")]
    public void Of_AlongEachCounter_IsUniformAndIndependentOfItsNeighbour(string along)
    {
        const int Cells = 16;
        var (pairs, leading) = (new long[Cells * Cells], new long[1 << 12]);
        var previous = CellOf(U(0));
        for (var i = 1; i < 200_000; i++)
        {
            var u = U(i);
            pairs[(previous * Cells) + CellOf(u)]++;
            leading[(int)(u * leading.Length)]++;
            previous = CellOf(u);
        }

        Assert.That(ChiSquare.Rejects(pairs, Enumerable.Repeat(1.0 / pairs.Length, pairs.Length).ToArray()), Is.False);
        Assert.That(ChiSquare.Rejects(leading, Enumerable.Repeat(1.0 / leading.Length, leading.Length).ToArray()), Is.False);

        double U(int i) => Math.Exp(-Math.Exp(-(along switch
        {
            "ids" => GumbelNoise.Of(3, 5, i),
            "positions" => GumbelNoise.Of(3, i, 5),
            _ => GumbelNoise.Of((ulong)i, 3, 5),
        })));
        static int CellOf(double u) => (int)(u * Cells);
    }
}
