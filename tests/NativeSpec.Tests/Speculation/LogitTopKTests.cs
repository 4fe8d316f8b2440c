using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

public sealed class LogitTopKTests
{
    [Test]
    public void Find_AnySize_AgreesWithASort([Values(1, 2, 10, 64)] int k, [Values(1, 5, 31, 32, 33, 64, 1000, 4099)] int n, [Values(1, 8, 1000)] int levels)
    {
        var random = new Random((k * 7919) + n);
        // Few levels make many equal logits.
        var logits = Enumerable.Range(0, n).Select(_ => (float)random.Next(levels) - (levels / 2)).ToArray();
        var expected = Enumerable.Range(0, n).OrderByDescending(i => logits[i]).ThenBy(i => i).Take(k).ToArray();

        int[] indices = new int[k];
        float[] values = new float[k];
        var found = LogitTopK.Find(logits, indices, values);

        Assert.That(indices[..found], Is.EqualTo(expected));
        Assert.That(values[..found], Is.EqualTo(expected.Select(i => logits[i])));
    }

    [Test]
    public void Find_AscendingLogits_WhichAreTheWorstCase()
    {
        var logits = Enumerable.Range(0, 1000).Select(i => (float)i).ToArray();
        int[] indices = new int[3];
        LogitTopK.Find(logits, indices, new float[3]);
        Assert.That(indices, Is.EqualTo(new[] { 999, 998, 997 }));
    }

    [Test]
    public void Find_NegativeInfinity_ComesLast()
    {
        float[] logits = [float.NegativeInfinity, 2, float.NegativeInfinity, -5];
        int[] indices = new int[3];
        LogitTopK.Find(logits, indices, new float[3]);
        Assert.That(indices, Is.EqualTo(new[] { 1, 3, 0 }));
    }

    [Test]
    public void Find_NothingWanted_FindsNothing() => Assert.That(LogitTopK.Find([1, 2], [], []), Is.Zero);
}
