using NativeSpec.Speculation.PromptLookup;

namespace NativeSpec.Tests.Speculation.PromptLookup;

internal sealed class SuffixAutomatonTests
{
    [Test]
    public void Match_RandomTexts_IsTheLongestSuffixThatOccurredBefore([Values(1, 2, 3, 5)] int alphabet)
    {
        ForRandomTexts(alphabet, length: 80, texts: 60, (automaton, text) =>
            Assert.That(
                automaton.LengthOf(automaton.Match), Is.EqualTo(LongestSuffixThatOccurredBefore(text)), () => string.Join(' ', text)));
    }

    [Test]
    public void EndOf_RandomTexts_IsATrueEarlierOccurrenceOfEverySuffixOnTheLinks([Values(1, 2, 3, 5)] int alphabet)
    {
        ForRandomTexts(alphabet, length: 80, texts: 60, (automaton, text) =>
        {
            for (var state = automaton.Match; state > SuffixAutomaton.Root; state = automaton.LinkOf(state))
            {
                var (length, end) = (automaton.LengthOf(state), automaton.EndOf(state));
                Assert.That(end, Is.InRange(length, text.Length - 1));
                Assert.That(text[(end - length)..end], Is.EqualTo(text[^length..]));
            }
        });
    }

    [Test]
    public void EndOf_FewNestedContexts_IsTheLatestEarlierOccurrence()
    {
        ForRandomTexts(alphabet: 8, length: 80, texts: 60, (automaton, text) =>
        {
            var length = automaton.LengthOf(automaton.Match);
            if (length > 0)
            {
                var latest = Enumerable.Range(0, text.Length).Last(end => EndsAt(text, length, end));
                Assert.That(automaton.EndOf(automaton.Match), Is.EqualTo(latest));
            }
        });
    }

    [Test]
    public void Successors_FewNestedContexts_AreCountedExactly()
    {
        var best = new SuffixAutomaton.Successor[8];
        ForRandomTexts(alphabet: 8, length: 80, texts: 60, (automaton, text) =>
        {
            for (var state = automaton.Match; state > SuffixAutomaton.Root; state = automaton.LinkOf(state))
            {
                var length = automaton.LengthOf(state);
                var expected = Enumerable.Range(length, text.Length - length)
                    .Where(end => EndsAt(text, length, end)).GroupBy(end => text[end]).ToDictionary(g => g.Key, g => g.Count());

                var found = best[..automaton.Successors(state, best, out var total)];

                Assert.That(found.ToDictionary(s => s.Token, s => s.Count), Is.EquivalentTo(expected));
                Assert.That(found.Select(s => s.Count), Is.Ordered.Descending);
                Assert.That(found.Select(s => text[s.End - 1]), Is.EqualTo(found.Select(s => s.Token)));
                Assert.That(total, Is.EqualTo(expected.Values.Sum()));
            }
        });
    }

    [Test]
    public void Successors_LessRoomThanTokens_GivesTheMostFrequent()
    {
        var automaton = new SuffixAutomaton();
        Append(automaton, 1, 2, 1, 3, 1, 3, 1, 4, 1, 4, 1, 4, 9, 1);
        var best = new SuffixAutomaton.Successor[2];

        var count = automaton.Successors(automaton.Match, best, out var total);

        Assert.That((count, total), Is.EqualTo((2, 6)));
        Assert.That(best.Select(s => (s.Token, s.Count)), Is.EqualTo(new[] { (4, 3), (3, 2) }));
    }

    [Test]
    public void CountOf_TokenThatNeverFollowed_IsZero()
    {
        var automaton = new SuffixAutomaton();
        Append(automaton, 1, 2, 1);

        Assert.That((automaton.CountOf(automaton.Match, 2), automaton.CountOf(automaton.Match, 7)), Is.EqualTo((1, 0)));
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(1000)]
    public void Bytes_LongText_KeepToWhatTheRemarksSay(int alphabet)
    {
        const int Length = 100_000;
        var random = new Random(7);
        var automaton = new SuffixAutomaton();
        for (var i = 0; i < Length; i++)
        {
            automaton.Append(random.Next(alphabet));
        }

        // Two states, and three transitions at 3/8 of the table, each just after a doubling.
        Assert.That(automaton.Bytes, Is.LessThan(Length * ((2 * 2 * 16) + (3 * 20 * 8 / 3))));
        Assert.That(automaton.Length, Is.EqualTo(Length));
    }

    private static void ForRandomTexts(int alphabet, int length, int texts, Action<SuffixAutomaton, int[]> check)
    {
        for (var seed = 0; seed < texts; seed++)
        {
            var random = new Random(seed);
            var automaton = new SuffixAutomaton(expectedLength: seed);
            var text = new int[length];
            for (var i = 0; i < length; i++)
            {
                text[i] = random.Next(alphabet);
                automaton.Append(text[i]);
                check(automaton, text[..(i + 1)]);
            }
        }
    }

    private static void Append(SuffixAutomaton automaton, params int[] tokens) => Array.ForEach(tokens, automaton.Append);

    private static int LongestSuffixThatOccurredBefore(int[] text)
        => Enumerable.Range(0, text.Length).Last(length => Enumerable.Range(0, text.Length).Any(end => EndsAt(text, length, end)));

    private static bool EndsAt(int[] text, int length, int end)
        => length <= end && text.AsSpan(end - length, length).SequenceEqual(text.AsSpan(text.Length - length));
}
