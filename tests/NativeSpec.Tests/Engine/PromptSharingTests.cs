using NativeSpec.Engine;

namespace NativeSpec.Tests.Engine;

public sealed class PromptSharingTests
{
    [TestCase(new[] { 12_000, 10 }, 256, new[] { 246, 10 }, TestName = "a short prompt behind a long one is done at once")]
    [TestCase(new[] { 12_000, 10, 300, 20 }, 256, new[] { 64, 10, 162, 20 }, TestName = "the shortest first, then the next, with three quarters of the rows")]
    [TestCase(new[] { 10, 12_000 }, 256, new[] { 10, 246 }, TestName = "what the oldest does not need, others may")]
    [TestCase(new[] { 100, 100, 100 }, 64, new[] { 64, 0, 0 }, TestName = "prompts of one length one after the other")]
    [TestCase(new[] { 100, 100, 100 }, 150, new[] { 100, 50, 0 }, TestName = "the older of two equal ones first")]
    [TestCase(new[] { 7, 3 }, 256, new[] { 7, 3 }, TestName = "rows enough for all")]
    [TestCase(new[] { 100, 3 }, 1, new[] { 1, 0 }, TestName = "a single row goes to the oldest")]
    [TestCase(new[] { 100, 3 }, 0, new[] { 0, 0 }, TestName = "no row to share")]
    public void Share(int[] remaining, int rows, int[] expected) => Assert.That(Shares(remaining, rows), Is.EqualTo(expected));

    [Test]
    public void Share_AnyPrompts_TakesAllRowsThatCanBeUsedAndNoMore()
    {
        var random = new Random(5);
        for (var run = 0; run < 2000; run++)
        {
            int[] remaining = [.. Enumerable.Range(0, random.Next(1, 20)).Select(_ => 1 + random.Next(200))];
            var rows = random.Next(400);
            var shares = Shares(remaining, rows);
            Assert.That(shares.Sum(), Is.EqualTo(Math.Min(rows, remaining.Sum())));
            Assert.That(shares.Zip(remaining, (share, most) => share >= 0 && share <= most), Has.All.True);
        }
    }

    /// <summary>Short prompts that never cease to come take three quarters of the rows, not all.</summary>
    [Test]
    public void Share_ShortPromptsWithoutEnd_DelayALongOneFourfoldAtMost()
    {
        const int rows = 64;
        var (left, rounds) = (1000, 0);
        for (; left > 0; rounds++)
        {
            left -= Shares([left, .. Enumerable.Repeat(8, 30)], rows)[0];
        }

        Assert.That(rounds, Is.InRange(1000 / rows, 4 * ((1000 + rows - 1) / rows)));
    }

    [Test]
    public void BesideTexts_ARound_IsStretchedOrTakesATimeThatNobodyNotices()
    {
        Assert.That(PromptSharing.BesideTexts(0.04), Is.EqualTo(0.04 * PromptSharing.Stretch));
        Assert.That(PromptSharing.BesideTexts(1e-4), Is.EqualTo(PromptSharing.Unnoticed));
    }

    [TestCase(1, 0.02, 0.05, 0.2, TestName = "a single prompt: ten forwards of a row")]
    [TestCase(1, 0.001, 0.05, 0.1, TestName = "a single prompt of a small model: what nobody notices who has yet to come")]
    [TestCase(2, 0.02, 0.05, 0.1, TestName = "several: twice the shortest's time")]
    [TestCase(2, 0.02, 5.0, 0.2, TestName = "several long ones: no longer than a single one's")]
    [TestCase(2, 1e-5, 1e-5, 0.005, TestName = "several short ones of a small model: what nobody notices")]
    public void OfPrompts_ARound_IsBoundedByWhoWaits(int prompts, double oneRow, double shortest, double expected)
        => Assert.That(PromptSharing.OfPrompts(prompts, oneRow, shortest), Is.EqualTo(expected).Within(1e-12));

    private static int[] Shares(int[] remaining, int rows)
    {
        var shares = Enumerable.Repeat(-7, remaining.Length).ToArray();
        PromptSharing.Share(remaining, rows, shares);
        return shares;
    }
}
