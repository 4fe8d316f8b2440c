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
        Assert.That(estimates.Estimate(1, 2, 1, 0.3f), Is.EqualTo(0.15).Within(1e-6));
    }

    [Test]
    public void Estimate_ADepthNotSeen_LeansOnTheOthersAtThatConfidence()
    {
        var estimates = new AcceptanceEstimates(1);
        for (var i = 0; i < 500; i++)
        {
            estimates.Observe(0, 1, 0, 0, right: false);
        }

        Assert.That(estimates.Estimate(0, 5, 0, 0), Is.LessThan(0.02));
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
