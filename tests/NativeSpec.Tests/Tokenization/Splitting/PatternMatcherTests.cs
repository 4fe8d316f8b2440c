using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tests.Tokenization.Splitting;

public sealed class PatternMatcherTests
{
    [Test]
    public void Find_OnRandomTexts_TakesTheLeftmostThenTheLongest()
    {
        var random = new Random(7);
        for (var round = 0; round < 5_000; round++)
        {
            var patterns = Enumerable.Range(0, random.Next(1, 6)).Select(_ => Letters(random, 1, 5)).Distinct().ToArray();
            var text = Letters(random, 0, 20);
            var found = new PatternMatcher(patterns).Find(text).Select(m => (m.Start, patterns[m.Pattern]));
            Assert.That(found, Is.EqualTo(Naive(text, patterns)), $"{string.Join(",", patterns)} in {text}");
        }
    }

    [Test]
    public void Find_NestedPatternsInALongText_TakesTheLongestEachTime()
    {
        // A search that starts anew after each match would read 2,000 characters for each of 200,000 places.
        string[] patterns = ["a", new string('a', 2_000) + "b"];
        var found = new PatternMatcher(patterns).Find(new string('a', 200_000) + "b");
        Assert.That(found, Has.Count.EqualTo(198_001));
        Assert.That(found[^1], Is.EqualTo(new PatternMatcher.Match(198_000, 1, 2_001)));
    }

    private static List<(int Start, string Pattern)> Naive(string text, string[] patterns)
    {
        var found = new List<(int, string)>();
        for (var i = 0; i < text.Length;)
        {
            var best = patterns.Where(p => string.CompareOrdinal(text, i, p, 0, p.Length) == 0).MaxBy(p => p.Length);
            if (best is not null)
            {
                found.Add((i, best));
            }

            i += best?.Length ?? 1;
        }

        return found;
    }

    private static string Letters(Random random, int min, int max) =>
        new([.. Enumerable.Range(0, random.Next(min, max + 1)).Select(_ => (char)('a' + random.Next(3)))]);
}
