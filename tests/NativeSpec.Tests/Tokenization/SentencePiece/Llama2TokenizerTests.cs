using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization.SentencePiece;

/// <summary>BPE with byte fallback from a tokenizer.json and from its sentencepiece twin.</summary>
[TestFixture(false)]
[TestFixture(true)]
public sealed class Llama2TokenizerTests(bool sentencePiece)
{
    private const int Hello = 263, TwoMarks = 264, Mark = 265;
    private readonly Tokenizer _tokenizer =
        sentencePiece ? TestTokenizers.Load(TestTokenizers.SentencePiece(), "tokenizer.model") : TestTokenizers.Load(TestTokenizers.Llama2());

    [TestCase("hello", new[] { 1, Hello })]
    [TestCase("", new[] { 1 })]
    [TestCase(" hello", new[] { 1, Mark, Hello })]
    [TestCase("  ", new[] { 1, TwoMarks, Mark })]
    [TestCase("é", new[] { 1, Mark, 0xC3 + 3, 0xA9 + 3 })]
    [TestCase("\n", new[] { 1, Mark, '\n' + 3 })]
    public void Encode_GivesTheTokensBehindBos(string text, int[] ids) => Assert.That(_tokenizer.Encode(text), Is.EqualTo(ids));

    [Test]
    public void Encode_WithoutSpecial_AddsNoBos() => Assert.That(_tokenizer.Encode("hello", addSpecial: false), Is.EqualTo(new[] { Hello }));

    [Test]
    public void Encode_ControlText_IsAControlTokenOnlyWhenAsked()
    {
        Assert.That(_tokenizer.Encode("hello</s>"), Has.None.EqualTo(2));
        Assert.That(_tokenizer.Decode(_tokenizer.Encode("hello</s>")), Is.EqualTo("hello</s>"));
        Assert.That(_tokenizer.Encode("hello</s>", parseSpecial: true), Is.EqualTo(new[] { 1, Hello, 2 }));
    }

    [Test]
    public void Encode_NameOfAByteToken_IsText() => Assert.That(_tokenizer.Decode(_tokenizer.Encode("<0x0A>")), Is.EqualTo("<0x0A>"));

    [Test]
    public void Encode_LoneSurrogate_IsTheReplacementCharacter() =>
        Assert.That(_tokenizer.Encode("\uD83Dx\uDE00"), Is.EqualTo(_tokenizer.Encode("\uFFFDx\uFFFD")));

    [Test]
    public void Decode_RandomTexts_GivesThemBack()
    {
        var random = new Random(3);
        for (var i = 0; i < 2_000; i++)
        {
            var text = RandomText.Next(random, 10);
            Assert.That(_tokenizer.Decode(_tokenizer.Encode(text)), Is.EqualTo(text));
        }
    }

    [Test]
    public void Decode_OfAContinuation_KeepsTheLeadingSpace()
    {
        Assert.That(_tokenizer.Decode([Hello], atTextStart: false), Is.EqualTo(" hello"));
        Assert.That(_tokenizer.Decode([Hello]), Is.EqualTo("hello"));
        Assert.That(_tokenizer.Decode([1, Mark, Hello]), Is.EqualTo(" hello"));
    }

    [Test]
    public void Decode_ControlTokens_AreTextOnlyWhenAsked()
    {
        Assert.That(_tokenizer.Decode([1, Hello, 2]), Is.EqualTo("hello"));
        Assert.That(_tokenizer.Decode([1, Hello, 2], skipSpecial: false), Is.EqualTo("<s> hello</s>"));
    }

    [Test]
    public void Tokens_SayWhatTheyAre()
    {
        Assert.That((_tokenizer.BosId, _tokenizer.EosIds), Is.EqualTo(((int?)1, new[] { 2 })));
        Assert.That(_tokenizer.VocabSize, Is.EqualTo(295));
        Assert.That(_tokenizer.TokenBytes(3 + 0xC3).ToArray(), Is.EqualTo(new byte[] { 0xC3 }));
        Assert.That((_tokenizer.TokenText(3 + 0xC3), _tokenizer.TokenText(Hello), _tokenizer.TokenText(1)), Is.EqualTo(("<0xC3>", " hello", "<s>")));
        Assert.That(_tokenizer.TokenBytes(1).Length, Is.Zero);
        Assert.That((_tokenizer.IsSpecial(0), _tokenizer.IsSpecial(2), _tokenizer.IsSpecial(3)), Is.EqualTo((true, true, false)));
    }

    [TestCase(-1)]
    [TestCase(295)]
    [TestCase(int.MaxValue)]
    public void Decode_IdOutsideTheVocabulary_IsRefused(int id) =>
        Assert.That(() => _tokenizer.Decode([id]), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [Test]
    public void Load_ConfigOfALlamaClass_ChoosesBosAndEos()
    {
        const string Config = """{"tokenizer_class": "LlamaTokenizer", "add_bos_token": false, "add_eos_token": true, "eos_token": {"content": "</s>"}}""";
        var tokenizer = sentencePiece
            ? TestTokenizers.Load(TestTokenizers.SentencePiece(), "tokenizer.model", Config)
            : TestTokenizers.Load(TestTokenizers.Llama2(), Config);
        Assert.That(tokenizer.Encode("hello"), Is.EqualTo(new[] { Hello, 2 }));
    }
}
