using NativeSpec.Engine.Rounds;

namespace NativeSpec.Tests.Engine.Rounds;

public sealed class PromptSharingTests
{
    [TestCase(new[] { 12_000, 10 }, 256, 0, new[] { 246, 10 }, TestName = "a short prompt behind a long one is done at once")]
    [TestCase(new[] { 12_000, 30 }, 20, 0, new[] { 0, 20 }, TestName = "and takes the long one's place where there is no room for both")]
    [TestCase(new[] { 12_000, 30 }, 20, 19.9, new[] { 0, 20 }, TestName = "also where the long one is owed something")]
    [TestCase(new[] { 12_000, 30 }, 20, 20, new[] { 20, 0 }, TestName = "but not where that is a whole round")]
    [TestCase(new[] { 5, 30 }, 20, 20, new[] { 5, 15 }, TestName = "which needs no more of it than it has tokens left")]
    [TestCase(new[] { 12_000, 10, 300, 20 }, 256, 0, new[] { 0, 10, 226, 20 }, TestName = "the shortest first, then the next")]
    [TestCase(new[] { 10, 12_000 }, 256, 0, new[] { 10, 246 }, TestName = "what the oldest does not need, others may")]
    [TestCase(new[] { 100, 100, 100 }, 64, 0, new[] { 64, 0, 0 }, TestName = "prompts of one length one after the other")]
    [TestCase(new[] { 100, 100, 100 }, 150, 0, new[] { 100, 50, 0 }, TestName = "the older of two equal ones first")]
    [TestCase(new[] { 7, 3 }, 256, 0, new[] { 7, 3 }, TestName = "rows enough for all")]
    [TestCase(new[] { 100, 3 }, 0, 0, new[] { 0, 0 }, TestName = "no row to share")]
    public void Share(int[] remaining, int rows, double owed, int[] expected) => Assert.That(Shares(remaining, rows, owed), Is.EqualTo(expected));

    [Test]
    public void Share_AnyPrompts_TakesAllRowsThatCanBeUsedAndNoMore()
    {
        var random = new Random(5);
        for (var run = 0; run < 2000; run++)
        {
            int[] remaining = [.. Enumerable.Range(0, random.Next(1, 20)).Select(_ => 1 + random.Next(200))];
            var rows = random.Next(400);
            var shares = Shares(remaining, rows, random.Next(800));
            Assert.That(shares.Sum(), Is.EqualTo(Math.Min(rows, remaining.Sum())));
            Assert.That(shares.Zip(remaining, (share, most) => share >= 0 && share <= most), Has.All.True);
        }
    }

    /// <summary>Short prompts that never cease to come take three quarters of the rows in the long run, not all.</summary>
    [Test]
    public void OwedAfter_ShortPromptsWithoutEnd_DelayALongOneFourfoldAtMost()
    {
        const int rows = 64;
        var (left, rounds, owed) = (3000, 0, 0.0);
        for (; left > 0; rounds++)
        {
            var share = Shares([left, .. Enumerable.Repeat(8, 30)], rows, owed)[0];
            (left, owed) = (left - share, PromptSharing.OwedAfter(owed, rows, share));
        }

        Assert.That(rounds, Is.InRange(3000 / rows, (4 * ((3000 + rows - 1) / rows)) + 1));
    }

    [Test]
    public void OwedAfter_RoundsThatLeaveTheOldestItsPart_OweItNothing()
    {
        var owed = 0.0;
        for (var round = 0; round < 100; round++)
        {
            owed = PromptSharing.OwedAfter(owed, 64, taken: 64 - 30);
        }

        Assert.That(owed, Is.Zero);
    }

    [Test]
    public void BesideTexts_ARound_IsStretchedOrTakesATimeThatNobodyNotices()
    {
        Assert.That(PromptSharing.BesideTexts(0.04), Is.EqualTo(0.12).Within(1e-12));
        Assert.That(PromptSharing.BesideTexts(1e-4), Is.EqualTo(0.075));
    }

    [TestCase(1, 0.02, 0.05, 0.2, TestName = "a single prompt: ten forwards of a row")]
    [TestCase(1, 0.001, 0.05, 0.1, TestName = "a single prompt of a small model: what nobody notices who has yet to come")]
    [TestCase(2, 0.02, 0.05, 0.1, TestName = "several: twice the shortest's time")]
    [TestCase(2, 0.02, 5.0, 0.2, TestName = "several long ones: no longer than a single one's")]
    [TestCase(2, 1e-5, 1e-5, 0.005, TestName = "several short ones of a small model: what nobody notices")]
    public void OfPrompts_ARound_IsBoundedByWhoWaits(int prompts, double oneRow, double shortest, double expected)
        => Assert.That(PromptSharing.OfPrompts(prompts, oneRow, shortest), Is.EqualTo(expected).Within(1e-12));

    private static int[] Shares(int[] remaining, int rows, double owed)
    {
        var shares = Enumerable.Repeat(-7, remaining.Length).ToArray();
        PromptSharing.Share(remaining, rows, owed, shares);
        return shares;
    }
}
