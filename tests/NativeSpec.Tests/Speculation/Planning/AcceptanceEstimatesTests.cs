using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class AcceptanceEstimatesTests
{
    [Test]
    public void Estimate_UnseenWithConfidence_IsTheConfidence()
        => Assert.That(new AcceptanceEstimates(2).Estimate(1, 1, 0, 0.8f), Is.EqualTo(0.8).Within(1e-6));

    [Test]
    public void Estimate_AfterMany_IsTheirFrequency_ForThatDrafterAlone()
    {
        var estimates = new AcceptanceEstimates(2);
        for (var i = 0; i < 2000; i++)
        {
            estimates.Observe(0, 2, 1, 0.3f, right: i % 10 == 0);
        }

        Assert.That(estimates.Estimate(0, 2, 1, 0.3f), Is.EqualTo(0.1).Within(0.02));
        Assert.That(estimates.Estimate(1, 2, 1, 0.3f), Is.EqualTo(0.3).Within(1e-6));
    }

    [Test]
    public void Estimate_OfADepthOrRankNotSeen_LeansOnThoseLikeIt()
    {
        var estimates = new AcceptanceEstimates(1);
        for (var i = 0; i < 500; i++)
        {
            estimates.Observe(0, 2, 2, 0, right: false);
        }

        Assert.That(estimates.Estimate(0, 9, 7, 0), Is.LessThan(0.02));
        Assert.That(estimates.Estimate(0, 1, 2, 0), Is.EqualTo(0.125).Within(1e-9), "the first place is another matter");
        Assert.That(estimates.Estimate(0, 2, 0, 0), Is.EqualTo(0.25).Within(1e-9), "and so is the first rank");
    }

    /// <summary>A drafter that is right half as often as it says: learnt at a few confidences, known at all between them, without a jump.</summary>
    [Test]
    public void Estimate_BetweenConfidencesThatWereSeen_LiesBetweenWhatWasLearnt()
    {
        var (estimates, random) = (new AcceptanceEstimates(1), new Random(7));
        float[] seen = [0.1f, 0.3f, 0.5f, 0.7f, 0.9f];
        for (var i = 0; i < 5000; i++)
        {
            var confidence = seen[i % seen.Length];
            estimates.Observe(0, 1, 0, confidence, random.NextDouble() < confidence / 2);
        }

        var before = estimates.Estimate(0, 1, 0, 0.1f);
        for (var confidence = 0.1f; confidence <= 0.9f; confidence += 0.01f)
        {
            var estimate = estimates.Estimate(0, 1, 0, confidence);
            Assert.That(estimate, Is.EqualTo(confidence / 2).Within(0.12), $"{confidence}");
            Assert.That(estimate, Is.EqualTo(before).Within(0.06), $"{confidence}");
            before = estimate;
        }
    }

    [Test]
    public void Estimate_OfAnyConfidence_IsAProbability([Values(0f, float.Epsilon, 1e-9f, 0.5f, 1f, float.NaN)] float confidence)
    {
        var estimates = new AcceptanceEstimates(1);
        Assert.That(estimates.Estimate(0, 1, 0, confidence), Is.GreaterThan(0).And.LessThan(1));
        for (var i = 0; i < 5000; i++)
        {
            estimates.Observe(0, 1, 0, confidence, right: i < 2500);
        }

        Assert.That(estimates.Estimate(0, 1, 0, confidence), Is.GreaterThan(0).And.LessThan(0.05));
    }

    [Test]
    public void Estimate_WhenTheTextChanges_FollowsIt()
    {
        var estimates = new AcceptanceEstimates(1);
        for (var i = 0; i < 3000; i++)
        {
            estimates.Observe(0, 1, 0, 0, right: i >= 2000);
        }

        Assert.That(estimates.Estimate(0, 1, 0, 0), Is.GreaterThan(0.95));
    }
}
