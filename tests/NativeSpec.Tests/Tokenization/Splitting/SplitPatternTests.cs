using System.Text.RegularExpressions;
using NativeSpec.Tokenization.Patterns;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tests.Tokenization.Splitting;

/// <summary>The scanners written by hand against the regular expressions that they stand for.</summary>
public sealed class SplitPatternTests
{
    private const string Rest = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string[] Patterns =
    [
        SplitPatterns.Gpt2,
        SplitPatterns.Llama3,
        @"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + Rest,
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + Rest,
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        @"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    ];

    [TestCaseSource(nameof(Patterns))]
    public void End_OnRandomTexts_CutsAsTheRegularExpressionDoes(string pattern)
    {
        var regex = new Regex(pattern, RegexOptions.CultureInvariant);
        var splitter = SplitPatterns.Find(pattern)!;
        var general = new MatchSplitter(new LinearPattern(pattern), MatchBehavior.Isolated);
        var random = new Random(20240607);
        for (var round = 0; round < 5_000; round++)
        {
            // .NET's classes see UTF-16 units, so the oracle is right for the Basic Multilingual Plane only.
            var text = RandomText.Next(random, 12, wide: false);
            Assert.That(Cut(splitter, text), Is.EqualTo(regex.Matches(text).Select(m => m.Value)), $"pieces of '{Regex.Escape(text)}'");
            text = RandomText.Next(random, 12);
            Assert.That(Cut(splitter, text), Is.EqualTo(Cut(general, text)), $"pieces of '{Regex.Escape(text)}'");
        }
    }

    [TestCase("𝐀𝐁 x", new[] { "𝐀𝐁", " x" })]
    [TestCase("a😀b", new[] { "a", "😀b" })]
    [TestCase("😀😀!", new[] { "😀😀!" })]
    [TestCase("𝟏𝟐𝟑𝟒", new[] { "𝟏𝟐𝟑", "𝟒" })]
    [TestCase("it'ſ", new[] { "it", "'ſ" })]
    public void End_BeyondTheBasicPlane_CutsByCodePoints(string text, string[] pieces) =>
        Assert.That(Cut(SplitPatterns.Find(SplitPatterns.Llama3)!, text), Is.EqualTo(pieces));

    [TestCase("a1b22", true, new[] { "a", "1", "b", "2", "2" })]
    [TestCase("a1b22", false, new[] { "a", "1", "b", "22" })]
    public void Numbers_AreCutFromTheRest(string text, bool individual, string[] pieces) =>
        Assert.That(
            Cut(new MatchSplitter(RuneMatcher.Numbers, individual ? MatchBehavior.Isolated : MatchBehavior.Contiguous), text), Is.EqualTo(pieces));

    [TestCase("--a--b-", nameof(MatchBehavior.Isolated), new[] { "-", "-", "a", "-", "-", "b", "-" })]
    [TestCase("--a--b-", nameof(MatchBehavior.Contiguous), new[] { "--", "a", "--", "b", "-" })]
    [TestCase("--a--b-", nameof(MatchBehavior.MergedWithPrevious), new[] { "-", "-", "a-", "-", "b-" })]
    [TestCase("--a--b-", nameof(MatchBehavior.MergedWithNext), new[] { "-", "-a", "-", "-b", "-" })]
    [TestCase("--a--b-", nameof(MatchBehavior.Removed), new[] { "a", "b" })]
    public void MatchSplitter_DoesWithTheMatchAsItsBehaviorSays(string text, string behavior, string[] pieces) =>
        Assert.That(Cut(new MatchSplitter(new LiteralMatcher("-"), Enum.Parse<MatchBehavior>(behavior)), text), Is.EqualTo(pieces));

    [TestCase(nameof(MatchBehavior.Removed), new[] { "--", "--", "-" })]
    [TestCase(nameof(MatchBehavior.MergedWithPrevious), new[] { "--a", "--b", "-" })]
    [TestCase(nameof(MatchBehavior.MergedWithNext), new[] { "--", "a--", "b-" })]
    public void MatchSplitter_Inverted_TakesWhatIsBetweenForTheMatches(string behavior, string[] pieces) => Assert.That(
        Cut(new MatchSplitter(new LinearPattern("-+"), Enum.Parse<MatchBehavior>(behavior), invert: true), "--a--b-"), Is.EqualTo(pieces));

    [Test]
    public void Punctuation_IsOfUnicodeAndOfAscii() => Assert.That(
        Cut(new MatchSplitter(RuneMatcher.Punctuation, MatchBehavior.Contiguous), "a+«b»€c"), Is.EqualTo(new[] { "a", "+«", "b", "»", "€c" }));

    [Test]
    public void Words_AreCutFromWhatIsNoWord_AndSpacesAreLeftOut() => Assert.That(
        Cut(new MatchSplitter(WordMatcher.Instance, MatchBehavior.Removed, invert: true), "it's  5€ ok"), Is.EqualTo(new[] { "it", "'", "s", "5", "€", "ok" }));

    [Test]
    public void ScriptSplitter_CutsWhereTheScriptChanges() => Assert.That(
        Cut(new ScriptSplitter(), "ab яб中アー。x"), Is.EqualTo(new[] { "ab ", "яб", "中アー", "。", "x" }));

    [TestCase("▁▁ab▁c▁▁", new[] { "▁▁ab", "▁c", "▁▁" })]
    [TestCase("ab▁c", new[] { "ab", "▁c" })]
    public void WordStartSplitter_CutsBeforeRunsOfMarks(string text, string[] pieces) =>
        Assert.That(Cut(new WordStartSplitter(), text), Is.EqualTo(pieces));

    private static List<string> Cut(Splitter splitter, string text)
    {
        var pieces = new List<Piece>();
        splitter.Split(text, pieces);
        return [.. pieces.Select(p => text[p.Start..p.End])];
    }
}
