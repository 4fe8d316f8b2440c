using System.Buffers;
using System.Text;
using NativeSpec.Tokenization;
using Tokenizer = NativeSpec.Tokenization.Tokenizer;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>A tokenizer of ours through every face of Microsoft.ML.Tokenizers. Its tokens are the bytes, "he" and "ll", and two control tokens.</summary>
public sealed class NativeSpecTokenizerTests
{
    private const int He = 256, Ll = 257, Bos = 258, Eos = 259;

    private static readonly NativeSpecTokenizer Tokenizer = Bytes().AsMLTokenizer(addSpecial: false);

    [Test]
    public void EncodeToTokens_PartsOfACharacter_EachHaveIt()
    {
        var tokens = Tokenizer.EncodeToTokens("hello é🦙", out var normalized);
        Assert.That(normalized, Is.Null);
        Assert.That(tokens.Select(token => (token.Value, token.Offset)), Is.EqualTo(new[]
        {
            ("he", 0..2), ("ll", 2..4), ("o", 4..5), (" ", 5..6), ("é", 6..7), ("é", 6..7), ("🦙", 7..9), ("🦙", 7..9), ("🦙", 7..9), ("🦙", 7..9),
        }));
    }

    [TestCase(1, 2, 1)]
    [TestCase(3, 5, 3)]
    [TestCase(5, 6, 4, Description = "half of é")]
    [TestCase(6, 7, 6)]
    [TestCase(9, 7, 6, Description = "three quarters of the llama")]
    [TestCase(99, 9, 10)]
    public void ALimit_EndsAtAWholeCharacter(int most, int index, int count)
    {
        Assert.That(Tokenizer.GetIndexByTokenCount("hello é🦙", most, out _, out var tokens), Is.EqualTo(index));
        Assert.That(tokens, Is.EqualTo(count));
        Assert.That(Tokenizer.EncodeToIds("hello é🦙", most, out _, out var consumed), Has.Count.EqualTo(count));
        Assert.That(consumed, Is.EqualTo(index));
    }

    [TestCase(4, 7, 4)]
    [TestCase(5, 7, 4, Description = "half of é")]
    [TestCase(3, 9, 0)]
    [TestCase(99, 0, 10)]
    public void ALimitFromTheEnd_BeginsAtAWholeCharacter(int most, int index, int count)
    {
        Assert.That(Tokenizer.GetIndexByTokenCountFromEnd("hello é🦙", most, out _, out var tokens), Is.EqualTo(index));
        Assert.That(tokens, Is.EqualTo(count));
    }

    [Test]
    public void NoLimit_IsRefused()
        => Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.EncodeToIds("hello", 0, out _, out _));

    [Test]
    public void ControlTokens_AreAddedAndReadAsAsked()
    {
        var adds = Bytes().AsMLTokenizer(parseSpecial: true);
        Assert.That(adds.EncodeToIds("he<eos>"), Is.EqualTo(new[] { Bos, He, Eos }));
        Assert.That(adds.EncodeToTokens("he<eos>", out _).Select(token => (token.Value, token.Offset)), Is.EqualTo(new[] { ("<bos>", 0..0), ("he", 0..2), ("<eos>", 2..7) }));
        Assert.That(Tokenizer.EncodeToIds("he<eos>"), Has.None.EqualTo(Eos));
        Assert.That(adds.Decode([Bos, He, Eos]), Is.EqualTo("he"));
        Assert.That(Bytes().AsMLTokenizer(skipSpecial: false).Decode([Bos, He, Eos]), Is.EqualTo("<bos>he<eos>"));
    }

    [Test]
    public void SettingsThatLeaveStepsOut_Act()
    {
        var upper = Tokenization.Tokenizer.Create(Definition() with { Normalize = text => text.ToLowerInvariant() }).AsMLTokenizer(addSpecial: false);
        Assert.That(upper.EncodeToIds("HE", considerNormalization: true), Is.EqualTo(new[] { He }));
        Assert.That(upper.EncodeToTokens("HE", out var normalized), Has.Count.EqualTo(1));
        Assert.That(normalized, Is.EqualTo("he"));
        Assert.That(upper.EncodeToIds("HE", considerNormalization: false), Is.EqualTo(new[] { (int)'H', 'E' }));
        Assert.That(upper.CountTokens("HE", considerNormalization: false), Is.EqualTo(2));

        // Without its words, GPT-2 merges across their ends: "a" and a line feed and a space become other tokens.
        var gpt2 = RealTokenizers.Ours(RealTokenizers.Gpt2).AsMLTokenizer();
        Assert.That(gpt2.EncodeToIds("don't", considerPreTokenization: true), Is.EqualTo(new[] { 9099, 470 }));
        Assert.That(gpt2.EncodeToIds("1234 5", considerPreTokenization: false), Is.EqualTo(RealTokenizers.Theirs(RealTokenizers.Gpt2).EncodeToIds("1234 5", considerPreTokenization: false)));
    }

    [Test]
    public void Decode_IntoASpan_WritesWholeCharactersAndSaysWhy()
    {
        var ids = Tokenizer.EncodeToIds("heé");
        var room = new char[3];
        Assert.That(Tokenizer.Decode(ids, room, out var consumed, out var written), Is.EqualTo(OperationStatus.Done));
        Assert.That((consumed, new string(room, 0, written)), Is.EqualTo((3, "heé")));
        Assert.That(Tokenizer.Decode(ids.Take(2), room, out consumed, out written), Is.EqualTo(OperationStatus.NeedMoreData));
        Assert.That((consumed, written), Is.EqualTo((1, 2)));
        Assert.That(Tokenizer.Decode(ids, room.AsSpan(0, 2), out consumed, out written), Is.EqualTo(OperationStatus.DestinationTooSmall));
        Assert.That((consumed, written), Is.EqualTo((1, 2)));
        Assert.That(Tokenizer.Decode([He, 260], room, out consumed, out written), Is.EqualTo(OperationStatus.InvalidData));
        Assert.That((consumed, written), Is.EqualTo((1, 2)));
        Assert.Throws<InvalidOperationException>(() => Tokenizer.Decode([He, 260]));
    }

    [Test]
    public void AsNativeSpec_OfOurOwn_IsItself()
        => Assert.That(Tokenizer.AsNativeSpec(), Is.SameAs(Tokenizer.Inner));

    private static Tokenizer Bytes() => Tokenization.Tokenizer.Create(Definition());

    private static TokenizerDefinition Definition() => new()
    {
        Name = "bytes",
        Tokens = [.. Enumerable.Range(0, 256).Select(b => new ReadOnlyMemory<byte>([(byte)b])), "he"u8.ToArray(), "ll"u8.ToArray(), default, default],
        SpecialTokens = new Dictionary<string, int> { ["<bos>"] = Bos, ["<eos>"] = Eos },
        BosId = Bos,
        Prefix = [Bos],
        Encode = text =>
        {
            List<int> ids = [];
            var bytes = Encoding.UTF8.GetBytes(text);
            for (var i = 0; i < bytes.Length; i++)
            {
                var pair = i + 1 < bytes.Length ? Encoding.Latin1.GetString(bytes, i, 2) : "";
                ids.Add(pair == "he" ? He : pair == "ll" ? Ll : bytes[i]);
                i += ids[^1] >= He ? 1 : 0;
            }

            return ids;
        },
    };
}
