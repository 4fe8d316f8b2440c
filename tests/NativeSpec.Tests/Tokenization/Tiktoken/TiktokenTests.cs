using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization.Tiktoken;

public sealed class TiktokenTests
{
    [Test]
    public void Load_Llama3Ranks_AddsItsSpecialTokensAndPattern()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.Tiktoken(128_000), "tokenizer.model");
        Assert.That((tokenizer.VocabSize, tokenizer.BosId), Is.EqualTo((128_256, (int?)128_000)));
        Assert.That(tokenizer.EosIds, Is.SupersetOf(new[] { 128_001, 128_009 }));
        Assert.That((tokenizer.TokenText(128_006), tokenizer.TokenText(128_009)), Is.EqualTo(("<|start_header_id|>", "<|eot_id|>")));
        Assert.That(tokenizer.TokenText(128_255), Is.EqualTo("<|reserved_special_token_247|>"));

        // Pairs of bytes are tokens: 123 and 4 are two pieces, and the lowest rank merges first.
        Assert.That(tokenizer.Encode("1234"), Is.EqualTo(new[] { 128_000, 256 + ('1' << 8) + '2', '3', '4' }));
        Assert.That(tokenizer.Encode("<|eot_id|>", parseSpecial: true), Is.EqualTo(new[] { 128_000, 128_009 }));
        Assert.That(tokenizer.Decode(tokenizer.Encode("<|eot_id|> 🦙")), Is.EqualTo("<|eot_id|> 🦙"));
    }

    [Test]
    public void Load_Gpt2Ranks_AddsEndOfTextAndNoBos()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.Tiktoken(50_256), "any.tiktoken");
        Assert.That((tokenizer.VocabSize, tokenizer.BosId, tokenizer.EosIds), Is.EqualTo((50_257, (int?)null, new[] { 50_256 })));
        Assert.That(tokenizer.Encode("ab"), Is.EqualTo(new[] { 256 + ('a' << 8) + 'b' }));
    }

    [TestCase("IQ== 0\n", "1 ranks")]
    [TestCase("IQ== 0\nIQ== 1\n", "line 2")]
    [TestCase("IQ== 0\n??? 1\n", "line 2")]
    [TestCase("IQ== 0\nIg== -1\n", "line 2")]
    [TestCase("IQ== 0\nIg== 99999999999\n", "line 2")]
    [TestCase("IQ== 0\nIg==\n", "line 2")]
    public void Load_BadRanks_AreRefusedWithTheirLine(string file, string fact) => Assert.That(
        () => TestTokenizers.Load(Encoding.ASCII.GetBytes(file), "tokenizer.model"),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains(fact));

    [Test]
    public void Load_RanksWithTheSameIdOrAGap_AreRefused()
    {
        var text = Encoding.ASCII.GetString(TestTokenizers.Tiktoken(50_256));
        Assert.That(() => Load(text.Replace(" 50255\n", " 50254\n", StringComparison.Ordinal)), Throws.InstanceOf<ModelFormatException>());
        Assert.That(() => Load(text.Replace(" 50255\n", " 60000\n", StringComparison.Ordinal)), Throws.InstanceOf<ModelFormatException>());
        Assert.That(() => Load(text.Replace("IQ== 33\n", "AAAA 33\n", StringComparison.Ordinal)), Throws.InstanceOf<ModelFormatException>());

        static Tokenizer Load(string ranks) => TestTokenizers.Load(Encoding.ASCII.GetBytes(ranks), "tokenizer.model");
    }
}
