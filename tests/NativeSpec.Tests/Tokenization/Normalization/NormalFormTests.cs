using NativeSpec.Tokenization.Normalization;

namespace NativeSpec.Tests.Tokenization.Normalization;

/// <summary>Unicode's normal forms; examples of Unicode Standard Annex 15 and of its traps.</summary>
public sealed class NormalFormTests
{
    [TestCase("e\u0301", "é")]
    [TestCase("\u212B", "Å")] // a singleton
    [TestCase("\u0958", "\u0915\u093C")] // never composed again
    [TestCase("\u1100\u1161\u11A8", "각")]
    [TestCase("\uAC00\u11A8", "각")]
    [TestCase("a\u0301\u0323", "\u1EA1\u0301")] // the mark below comes first, and composes
    [TestCase("a\u0323\u0323", "\u1EA1\u0323")]
    [TestCase("\u0301e\u0301", "\u0301é")]
    [TestCase("ﬁ½Ａ", "ﬁ½Ａ")]
    [TestCase("\U0001D15E", "\U0001D157\U0001D165")]
    [TestCase("plain", "plain")]
    public void Nfc(string text, string composed) => Assert.That(NormalForm.Apply(text, compose: true, compatible: false), Is.EqualTo(composed));

    [TestCase("ﬁ½Ａ", "fi1⁄2A")]
    [TestCase("ｶﾞ", "ガ")]
    [TestCase("\u00A0x\u2126", " xΩ")]
    [TestCase("㎢", "km2")]
    public void Nfkc(string text, string composed) => Assert.That(NormalForm.Apply(text, compose: true, compatible: true), Is.EqualTo(composed));

    [TestCase("é각", "e\u0301\u1100\u1161\u11A8")]
    [TestCase("\u1EA1\u0301", "a\u0323\u0301")]
    public void Nfd(string text, string decomposed) => Assert.That(NormalForm.Apply(text, compose: false, compatible: false), Is.EqualTo(decomposed));

    [Test]
    public void Apply_EveryCodePoint_IsStable()
    {
        for (var c = 1; c < 0x30000; c += c is 0xD7FF ? 0x801 : 1)
        {
            var text = char.ConvertFromUtf32(c);
            var composed = NormalForm.Apply(text, compose: true, compatible: false);
            Assert.That(NormalForm.Apply(composed, compose: true, compatible: false), Is.EqualTo(composed));
            Assert.That(NormalForm.Apply(NormalForm.Apply(text, false, false), compose: true, compatible: false), Is.EqualTo(composed));
        }
    }

    [Test]
    public void Apply_LongRunOfMarksInTheWrongOrder_IsSorted()
    {
        var text = "a" + string.Concat(Enumerable.Repeat("\u0301\u0323", 200_000));
        var normal = NormalForm.Apply(text, compose: false, compatible: false);
        Assert.That(normal, Is.EqualTo("a" + new string('\u0323', 200_000) + new string('\u0301', 200_000)));
    }
}
