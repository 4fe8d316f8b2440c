using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class LogProbsTests
{
    [Test]
    public void Of_RandomLogits_AgreesWithDoublePrecisionAndAFullSort([Values(0, 1, 5, 20)] int topCount)
    {
        var random = new Random(10);
        for (var round = 0; round < 200; round++)
        {
            var logits = Enumerable.Range(0, 1 + random.Next(100)).Select(_ => MathF.Round(200 * (random.NextSingle() - 0.5f)) / 4).ToArray();
            var chosen = random.Next(logits.Length);
            var logSum = logits.Max() + Math.Log(logits.Sum(logit => Math.Exp(logit - logits.Max())));
            var ranked = Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).Take(topCount).ToArray();

            var result = LogProbs.Of(logits, chosen, topCount, 0, new float[logits.Length]);

            Assert.That(result.Chosen.Id, Is.EqualTo(chosen));
            Assert.That(result.Chosen.LogProb, Is.EqualTo(logits[chosen] - logSum).Within(1e-5));
            Assert.That(result.Top.Select(top => top.Id), Is.EqualTo(ranked));
            Assert.That(result.Top.Select(top => (double)top.LogProb), Is.EqualTo(ranked.Select(id => logits[id] - logSum)).Within(1e-5));
        }
    }

    [Test]
    public void Of_LargeLogits_DoNotOverflow()
    {
        var result = LogProbs.Of([1000, 1000, 999], 2, 1, 0, new float[3]);

        Assert.That(result.Top[0].LogProb, Is.EqualTo(-Math.Log(2 + Math.Exp(-1))).Within(1e-6));
        Assert.That(result.Chosen.LogProb, Is.EqualTo(-1 - Math.Log(2 + Math.Exp(-1))).Within(1e-6));
    }

    [Test]
    public void Sample_LogProbsWanted_AreThoseOfTheRawLogits()
    {
        float[] logits = [0, 1, 2];
        var options = new SamplingOptions { Temperature = 0, TopLogProbs = 2, LogitBias = new Dictionary<int, float> { [0] = 50 } };
        var history = new TokenHistory(3, 0, tracksTokens: false);

        var sampled = new Sampler(options, 0, new SamplerWorkspace(3)).Sample(logits, history, 0);

        Assert.That(sampled.Id, Is.Zero);
        Assert.That(sampled.LogProbs!.Chosen.LogProb, Is.EqualTo(-Math.Log(1 + Math.E + (Math.E * Math.E))).Within(1e-6));
        Assert.That(sampled.LogProbs.Top.Select(top => top.Id), Is.EqualTo(new[] { 2, 1 }));
    }

    [Test]
    public void Sample_LogProbsNotWanted_AreNotComputed()
    {
        var history = new TokenHistory(3, 0, tracksTokens: false);

        Assert.That(new Sampler(new(), 0, new SamplerWorkspace(3)).Sample([0, 1, 2], history, 0).LogProbs, Is.Null);
    }
}
