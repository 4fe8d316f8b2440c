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
    public void Of_TokensRuledOut_AreNotAmongTheMostLikely()
    {
        var result = LogProbs.Of([float.NegativeInfinity, 1, 1], 0, 3, 0, new float[3]);

        Assert.That(result.Chosen.LogProb, Is.EqualTo(float.NegativeInfinity));
        Assert.That(result.Top.Select(top => top.Id), Is.EqualTo(new[] { 1, 2 }));
    }

    [Test]
    public void LogProbsOf_AfterABiasedChoice_AreThoseOfTheRawLogits()
    {
        float[] logits = [0, 1, 2];
        var (chooser, rule) = (new Chooser(3), new SamplingRule(new() { Temperature = 0, LogitBias = new Dictionary<int, float> { [0] = 50 } }, 0, 3));
        var chosen = chooser.Choose(logits, new RowChoice { Rule = rule, Position = 0 });

        var logProbs = chooser.LogProbsOf(logits, chosen, 2, 0);

        Assert.That(chosen, Is.Zero);
        Assert.That(logProbs.Chosen.LogProb, Is.EqualTo(-Math.Log(1 + Math.E + (Math.E * Math.E))).Within(1e-6));
        Assert.That(logProbs.Top.Select(top => top.Id), Is.EqualTo(new[] { 2, 1 }));
    }
}
