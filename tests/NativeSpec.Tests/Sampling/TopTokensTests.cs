using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class TopTokensTests
{
    [Test]
    public void Select_AnySizeAndCount_EqualsAStableSort([Values(1, 2, 8, 64)] int k, [Values(2, 50, 1_000_000)] int distinct)
    {
        var random = new Random(k);
        for (var size = 0; size < 300; size++)
        {
            var logits = Enumerable.Range(0, size).Select(_ => (float)(random.Next(distinct) - (distinct / 2))).ToArray();
            var ids = new int[k];

            TopTokens.Select(logits, ids);

            var expected = Enumerable.Range(0, size).OrderByDescending(i => logits[i]).Concat(Enumerable.Repeat(-1, k)).Take(k);
            Assert.That(ids, Is.EqualTo(expected), $"size {size}");
        }
    }

    [Test]
    public void Select_NotANumberAndMinusInfinity_ArePassedOver()
    {
        var logits = Enumerable.Repeat(float.NaN, 100).ToArray();
        (logits[3], logits[40], logits[98]) = (float.NegativeInfinity, -5, float.PositiveInfinity);
        var ids = new int[3];

        TopTokens.Select(logits, ids);

        Assert.That(ids, Is.EqualTo(new[] { 98, 40, -1 }));
    }

    [Test]
    public void Select_MoreThanTheMost_Throws()
    {
        Assert.That(() => TopTokens.Select([1f], new int[TopTokens.MaxCount + 1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
