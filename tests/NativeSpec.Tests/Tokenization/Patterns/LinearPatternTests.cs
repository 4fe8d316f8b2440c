using System.Text.RegularExpressions;
using NativeSpec.Tokenization.Patterns;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tests.Tokenization.Patterns;

/// <summary>The matcher that runs any pattern in linear time, against .NET's backtracking one.</summary>
public sealed class LinearPatternTests
{
    private const string Tekken =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string[] Patterns =
    [
        Tekken,
        SplitPatterns.O200k,
        @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        @"(?=(\d{2})+(?!\d))", // SuperBPE's kind: empty matches, and a look-ahead that reads far
        @"\p{N}{1,2}", @"[0-9][0-9][0-9]", @"(a|ab)(c|bcd)?|h(e|el|ell)??l*", @"(?:l|ll|lll)*?o", @"(?i)HELLO|L", @"(?<=[a-z])(?=[A-Z])", @"(?<!l)l",
        @"\s+(?!\S)", @"(?!a)\p{L}", @"(?=h)(?!hell)\p{L}+", @"x*", @"[^\S\n]+", @"\A\S|\S\z", @"(a*b?)*l", @"'(?!s)", @"(?>\r\n)|\s", @"e(?#note)l", @"(?<n>h)e",
    ];

    [TestCaseSource(nameof(Patterns))]
    public void Find_OnRandomTexts_FindsWhatABacktrackingEngineFinds(string pattern)
    {
        var regex = new Regex(pattern, RegexOptions.CultureInvariant);
        var linear = new LinearPattern(pattern);
        var random = new Random(6);
        for (var round = 0; round < 3_000; round++)
        {
            // .NET's classes see UTF-16 units, so the oracle is right for the Basic Multilingual Plane only. Unlike Oniguruma it takes an
            // empty match right after another one.
            var text = RandomText.Next(random, 12, wide: false);
            var expected = new List<Piece>();
            foreach (Match match in regex.Matches(text))
            {
                if (match.Length > 0 || expected.Count == 0 || expected[^1].End != match.Index)
                {
                    expected.Add(new(match.Index, match.Index + match.Length));
                }
            }

            Assert.That(Find(linear, text), Is.EqualTo(expected), $"matches in '{Regex.Escape(text)}'");
        }
    }

    // Each is known to explode in some engine: in one match (backtracking), or (the last three) over all matches of a text.
    [TestCase(@"(a+)+$", "a", "!")]
    [TestCase(@"(.*)*x", "a", "")]
    [TestCase(@"(?:a|aa)+$", "a", "!")]
    [TestCase(@"(a|a)*b", "a", "")]
    [TestCase(@"(\w+\s?)*$", "a", "!")]
    [TestCase(@"(a?){50}a{50}", "a", "")]
    [TestCase(@"(a|b)*a(a|b){12}c", "ab", "")]
    [TestCase(@"a.*b|a", "a", "")]
    [TestCase(@"a(?=.*b)|a", "a", "")]
    [TestCase(@"\s+$|\s", " ", "x")]
    public void Find_PatternThatExplodesElsewhere_ReadsALongTextTwice(string pattern, string repeated, string end)
    {
        // A quarter of a million steps a character would not end today; what is asserted is that the matches are right.
        var text = string.Concat(Enumerable.Repeat(repeated, 200_000)) + end;
        var matches = Find(new(pattern), text);
        var covered = matches.Sum(m => m.End - m.Start);
        Assert.That(covered, Is.EqualTo(ExpectedCover(pattern, text)));
    }

    private static int ExpectedCover(string pattern, string text) => pattern switch
    {
        @"a.*b|a" or @"a(?=.*b)|a" => text.Length,
        @"(a?){50}a{50}" => text.Length - (text.Length % 100 < 50 ? text.Length % 100 : 0),
        @"\s+$|\s" => text.Length - 1,
        _ => 0,
    };

    [Test]
    public void Find_AlternatelyShortAndLongTexts_KeepsNothingOfTheOneBefore()
    {
        var linear = new LinearPattern(@"\p{L}+\d|\s+(?!\S)");
        var random = new Random(4);
        for (var round = 0; round < 40; round++)
        {
            var text = string.Concat(Enumerable.Range(0, round % 3 == 0 ? 3_000 : 3).Select(_ => RandomText.Next(random, 6)));
            Assert.That(Find(linear, text), Is.EqualTo(Find(new(@"\p{L}+\d|\s+(?!\S)"), text)));
        }
    }

    [TestCase(4095)]
    [TestCase(4096)]
    [TestCase(4097)]
    [TestCase(8192)]
    public void Find_MatchAcrossTheEndOfABlock_IsOneMatch(int length)
    {
        var text = new string(' ', length - 1) + "😀a" + new string('b', 5000);
        Assert.That(Find(new(@"\w+|\s+(?!\S)|\S"), text), Is.EqualTo(
            new Piece[] { new(0, length - 2), new(length - 1, length + 1), new(length + 1, text.Length) }.Where(p => p.End > p.Start)));
    }

    [Test]
    public void Find_BySeveralThreads_IsTheSame()
    {
        var linear = new LinearPattern(Tekken);
        var texts = Enumerable.Range(0, 64).Select(i => string.Concat(Enumerable.Range(0, 200).Select(j => RandomText.Next(new Random(i + (j * 100)), 8)))).ToArray();
        var alone = texts.Select(text => Find(new(Tekken), text)).ToArray();
        Parallel.For(0, texts.Length, i => Assert.That(Find(linear, texts[i]), Is.EqualTo(alone[i])));
    }

    [TestCase("𝐀𝐁 x", @"\p{L}+", new[] { "𝐀𝐁", "x" })]
    [TestCase("a😀b", "[^a]", new[] { "😀", "b" })]
    [TestCase("中文ab", @"\p{Han}+", new[] { "中文" })]
    [TestCase("中文ab", @"[\p{L}&&[^\p{Han}]]+", new[] { "ab" })]
    [TestCase("aA1", @"\h", new[] { "a", "A", "1" })]
    [TestCase("a|(b", @"[^(\s|[b]]+", new[] { "a" })]
    [TestCase("1234", @"\p{N}{1,3}+", new[] { "1234" })]
    [TestCase("aab", "a++b|a", new[] { "aab" })]
    [TestCase("x.\ny", "^.$|^.", new[] { "x", "y" })]
    [TestCase("½x", @"\w|[^\w]", new[] { "½", "x" })]
    [TestCase("'S it'ſ", "(?i:'s)", new[] { "'S", "'ſ" })]
    public void Find_WhatOnigurumaReadsInItsOwnWay_IsReadSo(string text, string pattern, string[] matches) =>
        Assert.That(Find(new(pattern), text).Select(m => text[m.Start..m.End]), Is.EqualTo(matches));

    [TestCase(@"\p{N}{1,3}+", "1234", new[] { "123", "4" })]
    [TestCase("^a|b$", "a\nab\nb", new[] { "a", "b" })]
    [TestCase(@"\pL+", "pL1", new[] { "pL" })]
    public void Find_InPerlsDialect_DiffersWherePerlDoes(string pattern, string text, string[] matches) =>
        Assert.That(Find(new(pattern, PatternDialect.Perl), text).Select(m => text[m.Start..m.End]), Is.EqualTo(matches));

    [TestCase(@"(a)\1", @"'\1'")]
    [TestCase(@"(?<=ab)c", "look-behind")]
    [TestCase("(?>a|ab)c", "atomic")]
    [TestCase("(ab)++", "possessive")]
    [TestCase("(", "without its ')'")]
    [TestCase("a)", "without its '('")]
    [TestCase("[a", "without its ']'")]
    [TestCase("*a", "nothing before")]
    [TestCase("a{3,2}", "3 to 2")]
    [TestCase("a{9999}", "9999")]
    [TestCase("[b-a]", "range")]
    [TestCase(@"\p{Klingon}", "Klingon")]
    [TestCase(@"\X", @"'\X'")]
    [TestCase(@"\", "nothing after")]
    [TestCase(@"\x{110000}", "110000")]
    [TestCase(@"(?i)\p{Lu}", "case is ignored")]
    [TestCase("((a{1000}){1000}){1000}", "states")]
    public void Constructor_PatternThatIsNotSupported_SaysWhatAndWhere(string pattern, string fact) =>
        Assert.That(() => new LinearPattern(pattern), Throws.InstanceOf<PatternException>().With.Message.Contains(fact));

    [Test]
    public void Constructor_DeepOrLongPatterns_AreRefused()
    {
        Assert.That(() => new LinearPattern(new string('(', 10_000)), Throws.InstanceOf<PatternException>().With.Message.Contains("within each other"));
        Assert.That(() => new LinearPattern(new string('[', 10_000)), Throws.InstanceOf<PatternException>().With.Message.Contains("within each other"));
        Assert.That(() => new LinearPattern("a" + new string('*', 10_000)), Throws.InstanceOf<PatternException>().With.Message.Contains("repetitions"));
        Assert.That(() => new LinearPattern(new string('a', 100_000)), Throws.InstanceOf<PatternException>().With.Message.Contains("100000"));
    }

    [Test]
    public void Constructor_RandomPatterns_MatchOrAreRefused()
    {
        string[] parts = ["a", "l", "(", ")", "[", "]", "|", "*", "+", "?", "{1,2}", "\\s", "\\p{L}", "^", "$", "(?=", "(?!", "(?i:", "(?>", "&&", "-", "\\b", ".", "\\"];
        var random = new Random(8);
        var refused = 0;
        for (var round = 0; round < 5_000; round++)
        {
            var pattern = string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => parts[random.Next(parts.Length)]));
            try
            {
                var text = RandomText.Next(random, 12);
                var end = 0;
                foreach (var match in Find(new(pattern), text))
                {
                    Assert.That(match.Start >= end && match.End >= match.Start && match.End <= text.Length, pattern);
                    end = match.End;
                }
            }
            catch (PatternException)
            {
                refused++;
            }
        }

        Assert.That(refused, Is.InRange(500, 4_500));
    }

    private static List<Piece> Find(LinearPattern pattern, string text)
    {
        var matches = new List<Piece>();
        pattern.Find(text, matches);
        return matches;
    }
}
