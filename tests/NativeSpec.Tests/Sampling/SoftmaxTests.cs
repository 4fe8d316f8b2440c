using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class SoftmaxTests
{
    [Test]
    public void Weights_AnyPlaceInAnySpan_GiveTheSameBits()
    {
        var random = new Random(2);
        for (var round = 0; round < 200; round++)
        {
            var score = (float)(-random.NextDouble() * (round % 2 == 0 ? 1 : 90));
            var alone = new float[1];
            Softmax.Weights([score], 0, 0.7f, alone);
            var scores = new float[1 + random.Next(70)];
            for (var i = 0; i < scores.Length; i++)
            {
                scores[i] = (float)(-random.NextDouble() * 90);
            }

            for (var place = 0; place < scores.Length; place++)
            {
                var (kept, weights) = (scores[place], new float[scores.Length]);
                scores[place] = score;
                Softmax.Weights(scores, 0, 0.7f, weights);
                scores[place] = kept;
                Assert.That(weights[place], Is.EqualTo(alone[0]), $"place {place} of {scores.Length}");
            }
        }
    }

    [Test]
    public void Weights_AgreeWithTheExponentialInDoublePrecision([Values(0.3f, 1, 1.5f)] float temperature)
    {
        var scores = Enumerable.Range(0, 5000).Select(i => 20 - (i * 0.005f)).ToArray();
        var weights = new float[scores.Length];

        Softmax.Weights(scores, 20, temperature, weights);

        for (var i = 0; i < scores.Length; i++)
        {
            var exact = Math.Exp((float)((scores[i] - 20) / temperature));
            Assert.That(weights[i], Is.EqualTo(exact).Within(2e-7 * exact));
        }
    }

    [Test]
    public void Weights_Extremes_AreOneForTheMaximumAndZeroFarBelow()
    {
        float[] scores = [1e30f, -1e30f, float.NegativeInfinity, 1e30f, float.MinValue];
        foreach (var temperature in new[] { float.Epsilon, 1e-30f, 1, 1e20f })
        {
            var weights = new float[scores.Length];
            Softmax.Weights(scores, 1e30f, temperature, weights);
            Assert.That(weights[0], Is.EqualTo(1));
            Assert.That(weights[2], Is.Zero);
            Assert.That(weights, Has.All.InRange(0f, 1f));
        }
    }

    [Test]
    public void Sum_AnyLength_IsTakenInTheStatedOrder()
    {
        var random = new Random(3);
        for (var length = 0; length < 100; length++)
        {
            var weights = Enumerable.Range(0, length).Select(_ => (float)Math.Exp(-30 * random.NextDouble())).ToArray();
            var lanes = new double[16];
            for (var i = 0; i < length; i++)
            {
                lanes[i % 16] += weights[i];
            }

            Assert.That(Softmax.Sum(weights), Is.EqualTo(lanes.Aggregate(0.0, (sum, lane) => sum + lane)));
        }
    }
}
