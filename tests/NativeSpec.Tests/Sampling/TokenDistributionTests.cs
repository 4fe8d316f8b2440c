using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class TokenDistributionTests
{
    private static readonly double JustBelowOne = Math.BitDecrement(1.0);

    [Test]
    public void Draw_StepsOfTheCumulativeDistribution_GiveTheTokensInOrder()
    {
        var distribution = Make(8, [1, 4, 6], [1, 2, 1]);

        Assert.That(new[] { 0, 0.249, 0.25, 0.749, 0.75, 0.999 }.Select(distribution.Draw), Is.EqualTo(new[] { 1, 1, 4, 4, 6, 6 }));
    }

    [Test]
    public void Draw_EndsOfTheUnitInterval_NeverGiveAZeroProbability()
    {
        var random = new Random(4);
        for (var round = 0; round < 300; round++)
        {
            var count = 1 + random.Next(2000);
            var weights = Enumerable.Range(0, count).Select(_ => random.Next(3) == 0 ? (float)Math.Exp(-60 * random.NextDouble()) : 0).ToArray();
            weights[random.Next(count)] = 1;
            var distribution = Make(2000, [.. Enumerable.Range(0, count)], weights);
            foreach (var u in new[] { 0, double.Epsilon, 0.5, 1 - 1e-15, JustBelowOne, random.NextDouble() })
            {
                Assert.That(distribution.Probability(distribution.Draw(u)), Is.GreaterThan(0), $"u = {u:R}");
            }
        }
    }

    [Test]
    public void Draw_ManyBlocks_AgreesWithTheLinearWalk()
    {
        var random = new Random(5);
        var weights = Enumerable.Range(0, 5000).Select(_ => (float)random.Next(4)).ToArray();
        var distribution = Make(5000, [.. Enumerable.Range(0, 5000)], weights);
        var total = distribution.Probabilities.ToArray().Sum(p => (double)p);
        for (var round = 0; round < 2000; round++)
        {
            var u = random.NextDouble();
            var (linear, cumulative) = (-1, 0.0);
            while (cumulative <= u * total)
            {
                cumulative += distribution.Probabilities[++linear];
            }

            Assert.That(distribution.Draw(u), Is.EqualTo(linear));
        }
    }

    [TestCase(-0.1)]
    [TestCase(1.0)]
    [TestCase(double.NaN)]
    public void Draw_NumberOutsideTheUnitInterval_Throws(double u)
    {
        Assert.That(() => Make(4, [2], [1]).Draw(u), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Draw_NeverFilled_Throws()
    {
        Assert.That(() => new TokenDistribution(4).Draw(0.5), Throws.InvalidOperationException);
    }

    [Test]
    public void Probability_AnyId_IsThatOfTheCandidateOrZero()
    {
        var distribution = Make(8, [1, 4, 6], [1, 2, 1]);

        Assert.That(Enumerable.Range(-1, 10).Select(distribution.Probability), Is.EqualTo(new[] { 0, 0, 0.25f, 0, 0, 0.5f, 0, 0.25f, 0, 0 }));
    }

    private static TokenDistribution Make(int vocabSize, int[] ids, float[] weights)
    {
        var distribution = new TokenDistribution(vocabSize);
        ids.CopyTo(distribution.KeptIds);
        weights.CopyTo(distribution.Weights);
        distribution.Normalise(ids.Length, isWholeVocabulary: false);
        return distribution;
    }
}
