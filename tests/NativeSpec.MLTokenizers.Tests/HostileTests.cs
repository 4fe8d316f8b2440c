using System.Text;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;
using NativeSpec.Loading;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>Texts and vocabularies that were made to do harm.</summary>
public sealed class HostileTests
{
    private static readonly LoadLimits Small = LoadLimits.Default with { MaxVocabSize = 300 };

    /// <summary>A text without a place to cut is one piece. Microsoft.ML.Tokenizers merges it in quadratic time: the long one would take it minutes.</summary>
    [TestCase(2000, true)]
    [TestCase(1 << 19, false)]
    public void Tiktoken_AnEndlessWord_HasItsIds(int length, bool theirs)
    {
        var random = new Random(1);
        var text = string.Create(length, random, (letters, from) =>
        {
            foreach (ref var letter in letters)
            {
                letter = (char)('a' + from.Next(26));
            }
        });
        var ids = RealTokenizers.Theirs(RealTokenizers.Gpt2).AsNativeSpec().EncodeUntrusted(text);
        Assert.That(ids, Is.EqualTo(RealTokenizers.Ours(RealTokenizers.Gpt2).EncodeUntrusted(text)));
        if (theirs)
        {
            Assert.That(ids, Is.EqualTo(RealTokenizers.Theirs(RealTokenizers.Gpt2).EncodeToIds(text)));
        }
    }

    [TestCase(-1)]
    [TestCase(300)]
    [TestCase(int.MaxValue)]
    public void IdsBeyondTheLimits_AreRefusedBeforeRoomIsMade(int id)
    {
        var bpe = BpeTokenizer.Create(new BpeOptions([KeyValuePair.Create("a", 0), KeyValuePair.Create("b", id)]) { ByteLevel = true });
        Assert.That(() => bpe.AsNativeSpec(limits: Small), Throws.ArgumentException.With.Message.Contains($"id {id}").And.Message.Contains("0 to 299"));
        Assert.That(
            () => Bytes(256).AsNativeSpec(new() { SpecialTokens = new Dictionary<string, int> { ["<s>"] = id } }, Small),
            Throws.ArgumentException.With.Message.Contains($"'<s>' has id {id}"));
    }

    [Test]
    public void Tiktoken_MoreTokensThanTheLimits_IsRefused()
    {
        Assert.That(() => Bytes(301).AsNativeSpec(limits: Small), Throws.ArgumentException.With.Message.Contains("300").And.Message.Contains("MaxVocabSize"));
        Assert.That(Bytes(300).AsNativeSpec(limits: Small).VocabSize, Is.EqualTo(300));
    }

    [Test]
    public void Tiktoken_WithoutATokenForEveryByte_IsRefused()
        => Assert.That(() => Bytes(256, without: 'x').AsNativeSpec(), Throws.ArgumentException.With.Message.Contains("0x78"));

    [Test]
    public void Bpe_ThatCannotSpellWhatItIsAskedAtFirst_IsTaken()
    {
        var bpe = BpeTokenizer.Create(new BpeOptions([KeyValuePair.Create("b", 0)]) { ByteLevel = true });
        Assert.That(bpe.AsNativeSpec().Encode("b", addSpecial: false), Is.EqualTo(new[] { 0 }));
    }

    private static TiktokenTokenizer Bytes(int count, char without = '\0')
    {
        var lines = Enumerable.Range(0, count).Where(id => without == '\0' || id != without)
            .Select(id => $"{Convert.ToBase64String(id < 256 ? [(byte)id] : Encoding.ASCII.GetBytes($"t{id}"))} {id}");
        return TiktokenTokenizer.Create(
            new MemoryStream(Encoding.ASCII.GetBytes(string.Join('\n', lines))), new RegexPreTokenizer(new Regex(RealTokenizers.Gpt2Pattern), null), null);
    }
}
