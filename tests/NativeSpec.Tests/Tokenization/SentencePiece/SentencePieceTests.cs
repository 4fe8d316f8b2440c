using NativeSpec.Loading;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization.SentencePiece;

public sealed class SentencePieceTests
{
    [Test]
    public void Encode_Scores_DecideWhichPairMergesFirst()
    {
        (string, float, int)[] words = [("ab", -2, 1), ("bc", -1, 1), ("a", -5, 1), ("b", -6, 1), ("c", -7, 1), ("▁", -8, 1)];
        Assert.That(Pieces(Load(pieces: words), "abc"), Is.EqualTo(new[] { " ", "a", "bc" }));
        words[1].Item2 = -3;
        Assert.That(Pieces(Load(pieces: words), "abc"), Is.EqualTo(new[] { " ", "ab", "c" }));
        words[1].Item2 = -2; // of equals the leftmost
        Assert.That(Pieces(Load(pieces: words), "abc"), Is.EqualTo(new[] { " ", "ab", "c" }));
    }

    [Test]
    public void Encode_CharacterWithoutAPiece_StillMerges()
    {
        Assert.That(Pieces(Load(pieces: [("ab", -1, 1)]), "ab"), Is.EqualTo(new[] { "<0xE2>", "<0x96>", "<0x81>", "ab" }));
    }

    [Test]
    public void Encode_UserDefinedPiece_IsOneTokenAndDoesNotMerge()
    {
        var tokenizer = Load(pieces: [("▁", -1, 1), ("ab", -2, 4), ("abc", -1, 1), ("c", -3, 1)]);
        Assert.That(Pieces(tokenizer, "abc"), Is.EqualTo(new[] { " ", "ab", "c" }));
    }

    [Test]
    public void Encode_RemoveExtraWhitespace_CollapsesSpaces()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.SentencePiece(removeExtra: true), "tokenizer.model");
        Assert.That(tokenizer.Encode("  hello   h "), Is.EqualTo(tokenizer.Encode("hello h")));
    }

    [Test]
    public void Encode_WithoutByteFallback_FusesUnknowns()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.SentencePiece(byteFallback: false), "tokenizer.model");
        Assert.That(tokenizer.Encode("éé"), Is.EqualTo(new[] { 1, 265, 0 }));
    }

    [Test]
    public void Load_AddedTokensOfTheConfig_FollowThePieces()
    {
        const string Config = """
            {"added_tokens_decoder": {"2": {"content": "</s>", "special": true}, "295": {"content": "<|user|>", "special": true},
             "296": {"content": "<tool>", "special": false, "normalized": false}}, "eos_token": "<|user|>"}
            """;
        var tokenizer = TestTokenizers.Load(TestTokenizers.SentencePiece(), "tokenizer.model", Config);
        Assert.That((tokenizer.VocabSize, tokenizer.EosIds), Is.EqualTo((297, new[] { 295 })));
        Assert.That(tokenizer.Encode("hello<tool><|user|>", parseSpecial: true), Is.EqualTo(new[] { 1, 263, 296, 295 }));
        Assert.That(tokenizer.Encode("<tool><|user|>"), Does.Contain(296).And.None.EqualTo(295));
    }

    [TestCase(3, "WORD")]
    [TestCase(4, "CHAR")]
    [TestCase(9, "9")]
    public void Load_OtherModelTypes_AreRefusedByName(int type, string name) => Assert.That(
        () => TestTokenizers.Load(TestTokenizers.SentencePiece(modelType: type), "tokenizer.model"),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains(name));

    [Test]
    public void Load_CharacterMapThatIsNone_IsRefusedByName() => Assert.That(
        () => TestTokenizers.Load(TestTokenizers.SentencePiece(charMap: [1, 2, 3]), "tokenizer.model"),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains("character map"));

    [TestCase("<0x-1>", 6, "BYTE")]
    [TestCase("<0x0A>", 6, "twice")]
    [TestCase("<unk2>", 2, "UNKNOWN")]
    [TestCase("", 1, "a text")]
    [TestCase("x", 7, "type 7")]
    public void Load_BadPiece_IsRefused(string text, int type, string fact) => Assert.That(
        () => Load(pieces: [(text, 0, type)]), Throws.InstanceOf<ModelFormatException>().With.Message.Contains(fact));

    [Test]
    public void Load_ScoreThatIsNoNumber_IsRefused() =>
        Assert.That(() => Load(pieces: [("x", float.NaN, 1)]), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("finite"));

    [Test]
    public void Load_MissingBytePiece_IsAnErrorOnlyWhereItIsNeeded()
    {
        var pieces = TestTokenizers.Pieces().Where(p => p.Text != "<0x41>").ToArray();
        var needed = TestTokenizers.SentencePiece(pieces: pieces);
        Assert.That(() => TestTokenizers.Load(needed, "tokenizer.model"), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("<0x41>"));
        var hasLetter = TestTokenizers.SentencePiece(pieces: [.. pieces, ("A", -1, 1)]);
        Assert.That(TestTokenizers.Load(hasLetter, "tokenizer.model").Decode(TestTokenizers.Load(hasLetter, "tokenizer.model").Encode("A")), Is.EqualTo("A"));
        var noFallback = TestTokenizers.SentencePiece(pieces: pieces, byteFallback: false);
        Assert.That(TestTokenizers.Load(noFallback, "tokenizer.model").Encode("A"), Does.Contain(0));
    }

    [Test]
    public void Load_TruncatedAtEveryByte_IsRefused()
    {
        var model = TestTokenizers.SentencePiece();
        for (var length = 0; length < model.Length; length++)
        {
            Assert.That(() => TestTokenizers.Load(model[..length], "tokenizer.model"), Throws.InstanceOf<ModelFormatException>(), $"{length} bytes");
        }
    }

    [Test]
    public void Load_InvalidUtf8InAPiece_IsRefused()
    {
        var model = TestTokenizers.SentencePiece();
        model[model.AsSpan().IndexOf("hello"u8)] = 0xFF;
        Assert.That(() => TestTokenizers.Load(model, "tokenizer.model"), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("UTF-8"));
    }

    private static Tokenizer Load(IEnumerable<(string, float, int)> pieces) => TestTokenizers.Load(
        TestTokenizers.SentencePiece(pieces: TestTokenizers.Pieces().Take(259).Concat(pieces)), "tokenizer.model");

    private static IEnumerable<string> Pieces(Tokenizer tokenizer, string text) =>
        tokenizer.Encode(text, addSpecial: false).Select(tokenizer.TokenText);
}
