using System.Text.Json.Nodes;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Byte-level BPE from a tokenizer.json.</summary>
public sealed class ByteLevelTokenizerTests
{
    private const int Hello = 259, SpaceThe = 262, Bos = 266, Eos = 267, FirstUnused = 268;

    private static int Byte(char c) => c;

    [Test]
    public void Encode_GivesTheTokensBehindBos()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.ByteLevel(300));
        Assert.That(tokenizer.Encode("hello the!"), Is.EqualTo(new[] { Bos, Hello, SpaceThe, Byte('!') }));
        Assert.That((tokenizer.BosId, tokenizer.EosIds, tokenizer.VocabSize), Is.EqualTo(((int?)Bos, new[] { Eos }, 300)));
        Assert.That(tokenizer.Description, Is.EqualTo("byte-level BPE, 300 tokens, tokenizer.json"));
    }

    [Test]
    public void WriteByteLevel_LoadsFromItsFolder()
    {
        var directory = Directory.CreateTempSubdirectory("tokenizer-test-");
        try
        {
            TestTokenizers.WriteByteLevel(directory.FullName, 512);
            var tokenizer = Tokenizer.Load(directory.FullName);
            Assert.That((tokenizer.VocabSize, tokenizer.BosId, tokenizer.EosIds), Is.EqualTo((512, (int?)Bos, new[] { Eos })));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Test]
    public void Decode_RandomTexts_GivesThemBack()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.ByteLevel(300));
        var random = new Random(9);
        for (var i = 0; i < 2_000; i++)
        {
            var text = RandomText.Next(random, 12);
            Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(text));
        }
    }

    [Test]
    public void Encode_ControlText_IsAControlTokenOnlyWhenAsked()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.ByteLevel(300));
        Assert.That(tokenizer.Encode("<|end_of_text|>", addSpecial: false), Is.EqualTo("<|end_of_text|>".Select(Byte).ToArray()));
        Assert.That(tokenizer.Encode("a<|end_of_text|>b", parseSpecial: true), Is.EqualTo(new[] { Bos, Byte('a'), Eos, Byte('b') }));
    }

    [TestCase(false, new[] { 'x', FirstUnused, 'y' })]
    [TestCase(true, new[] { 'x', FirstUnused, 'y' })]
    public void Encode_OrdinaryAddedToken_IsAlwaysFound(bool normalized, int[] ids)
    {
        var tokenizer = WithAdded("<tool>", token => token["normalized"] = normalized);
        Assert.That(tokenizer.Encode("x<tool>y", addSpecial: false), Is.EqualTo(ids));
        Assert.That(tokenizer.Decode(ids), Is.EqualTo("x<tool>y"));
    }

    [Test]
    public void Encode_AddedTokenOfWhiteSpaceBeyondTheModel_IsFoundAsAnyOther()
    {
        var tokenizer = WithAdded("  ", _ => { });
        Assert.That(tokenizer.Encode("  ", addSpecial: false), Is.EqualTo(new[] { FirstUnused }));
        Assert.That(tokenizer.Encode("  ", addSpecial: false, parseSpecial: true), Is.EqualTo(new[] { FirstUnused }));
    }

    [TestCase("lstrip", "x <tool> y", new[] { 'x', FirstUnused, ' ', 'y' })]
    [TestCase("rstrip", "x <tool> y", new[] { 'x', ' ', FirstUnused, 'y' })]
    [TestCase("single_word", "x<tool>", new int[] { 'x', '<', 't', 'o', 'o', 'l', '>' })]
    [TestCase("single_word", "x <tool>!", new[] { 'x', ' ', FirstUnused, '!' })]
    public void Encode_AddedTokenWithAFlag_TakesSpaceOrWantsNoWord(string flag, string text, int[] ids) =>
        Assert.That(WithAdded("<tool>", token => token[flag] = true).Encode(text, addSpecial: false), Is.EqualTo(ids));

    [Test]
    public void Encode_OverlappingAddedTokens_TakesTheLongest()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        foreach (var (content, i) in new[] { "<a", "<a>", "a>b" }.Select((c, i) => (c, i)))
        {
            json["added_tokens"]!.AsArray().Add(TestTokenizers.Added(FirstUnused + i, content, special: false));
        }

        Assert.That(TestTokenizers.Load(json).Encode("<a><ax", addSpecial: false), Is.EqualTo(new[] { FirstUnused + 1, FirstUnused, 'x' }));
    }

    [Test]
    public void Encode_IgnoreMerges_TakesAWholePieceAsItIs()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["merges"] = TestTokenizers.Strings("l l");
        Assert.That(TestTokenizers.Load(json).Encode("hello", addSpecial: false), Is.EqualTo(new[] { 'h', 'e', 257, 'o' }));
        json["model"]!["ignore_merges"] = true;
        Assert.That(TestTokenizers.Load(json).Encode("hello hellos", addSpecial: false), Is.EqualTo(new[] { Hello, ' ', 'h', 'e', 257, 'o', 's' }));
    }

    [Test]
    public void Encode_DigitsBeforeByteLevel_KeepsDigitsApart()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!["12"] = FirstUnused;
        json["model"]!["merges"]!.AsArray().Add("1 2");
        json["pre_tokenizer"] = TestTokenizers.ByteLevelPart(useRegex: true);
        Assert.That(TestTokenizers.Load(json).Encode("12", addSpecial: false), Is.EqualTo(new[] { FirstUnused }));
        json["pre_tokenizer"] = TestTokenizers.Sequence(
            "pretokenizers", TestTokenizers.Object("""{"type": "Digits", "individual_digits": true}"""), TestTokenizers.ByteLevelPart(useRegex: true));
        Assert.That(TestTokenizers.Load(json).Encode("12", addSpecial: false), Is.EqualTo(new int[] { '1', '2' }));
    }

    [Test]
    public void Encode_AddPrefixSpace_PutsOneInFront()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["pre_tokenizer"] = TestTokenizers.ByteLevelPart(useRegex: true, addPrefixSpace: true);
        Assert.That(TestTokenizers.Load(json).Encode("the", addSpecial: false), Is.EqualTo(new[] { SpaceThe }));
        Assert.That(TestTokenizers.Load(json).Encode(" the", addSpecial: false), Is.EqualTo(new[] { SpaceThe }));
    }

    [Test]
    public void Encode_TemplateBehindByteLevel_AddsBothEnds()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        var template = json["post_processor"]!.DeepClone().AsObject();
        template["single"]!.AsArray().Add(JsonNode.Parse("""{"SpecialToken": {"id": "<|end_of_text|>", "type_id": 0}}"""));
        template["special_tokens"]!["<|end_of_text|>"] = JsonNode.Parse($$"""{"id": "<|end_of_text|>", "ids": [{{Eos}}]}""");
        json["post_processor"] = TestTokenizers.Sequence("processors", TestTokenizers.ByteLevelPart(useRegex: true), template);
        Assert.That(TestTokenizers.Load(json).Encode(""), Is.EqualTo(new[] { Bos, Eos }));
    }

    [Test]
    public void Encode_TextBeyondTheLimit_IsRefused()
    {
        var directory = Directory.CreateTempSubdirectory("tokenizer-test-");
        TestTokenizers.WriteByteLevel(directory.FullName, 300);
        var tokenizer = Tokenizer.Load(directory.FullName, NativeSpec.Loading.LoadLimits.Default with { MaxTextLength = 10 });
        directory.Delete(recursive: true);
        Assert.That(() => tokenizer.Encode(new string('a', 11)), Throws.ArgumentException.With.Message.Contains("11"));
        Assert.That(tokenizer.Encode(new string('a', 10), addSpecial: false), Has.Length.EqualTo(10));
    }

    [Test]
    public void Encode_OneMegabyteOfOneLetter_Merges()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!["aa"] = FirstUnused;
        json["model"]!["merges"]!.AsArray().Add("a a");
        var ids = TestTokenizers.Load(json).Encode(new string('a', 1_000_001), addSpecial: false);
        Assert.That(ids, Has.Length.EqualTo(500_001));
        Assert.That(ids[^1], Is.EqualTo((int)'a'));
    }

    private static Tokenizer WithAdded(string content, Action<JsonObject> change)
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        var token = TestTokenizers.Added(FirstUnused, content, special: false);
        change(token);
        json["added_tokens"]!.AsArray().Add(token);
        return TestTokenizers.Load(json);
    }
}
