using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Situations that people reported of other engines, each as a small file of this suite's own.</summary>
public sealed class ReportedTokenizerTests
{
    private const int Hello = 263, Mark = 265, FirstFree = 295;

    [Test]
    public void AddedToken_WithAnotherIdThanTheVocabularyGives_HasTheVocabularys()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!["<tool>"] = 268;
        json["added_tokens"]!.AsArray().Add(TestTokenizers.Added(300, "<tool>", special: false));
        Assert.That(TestTokenizers.Load(json).Encode("a<tool>b", addSpecial: false), Is.EqualTo(new[] { 'a', 268, 'b' }));
    }

    [TestCase(2)]
    [TestCase(400)]
    public void AddedToken_WithAnIdThatIsTakenOrFarAway_ComesNext(int id)
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["added_tokens"]!.AsArray().Add(TestTokenizers.Added(id, "<tool>", special: false));
        Assert.That(TestTokenizers.Load(json).Encode("<tool>", addSpecial: false), Is.EqualTo(new[] { 268 }));
    }

    [Test]
    public void ByteWithoutAToken_VanishesBeforeMerging()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!.AsObject().Remove("!");
        json["pre_tokenizer"] = TestTokenizers.ByteLevelPart(useRegex: false);
        Assert.That(TestTokenizers.Load(json).Encode("l!l", addSpecial: false), Is.EqualTo(new[] { 257 }));
        json["model"]!["unk_token"] = "a";
        Assert.That(TestTokenizers.Load(json).Encode("l!!l", addSpecial: false), Is.EqualTo(new int[] { 'l', 'a', 'a', 'l' }));
        json["model"]!["fuse_unk"] = true;
        Assert.That(TestTokenizers.Load(json).Encode("l!!l", addSpecial: false), Is.EqualTo(new int[] { 'l', 'a', 'l' }));
    }

    [TestCase("{}", new[] { Hello })]
    [TestCase("""{"tokenizer_class": "LlamaTokenizerFast"}""", new[] { 1, Hello })]
    [TestCase("""{"tokenizer_class": "LlamaTokenizer", "add_bos_token": null}""", new[] { Hello })]
    [TestCase("""{"tokenizer_class": "LlamaTokenizer", "add_eos_token": true}""", new[] { 1, Hello, 2 })]
    [TestCase("""{"tokenizer_class": "LlamaTokenizer", "bos_token": "<unk>"}""", new[] { 0, Hello })]
    [TestCase("""{"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true}""", new[] { Hello })]
    public void ClassOfTheConfiguration_DecidesWhatIsPutAround(string config, int[] ids)
    {
        var json = TestTokenizers.Llama2();
        json["post_processor"] = null;
        Assert.That(TestTokenizers.Load(json, config).Encode("hello"), Is.EqualTo(ids));
    }

    [Test]
    public void Falcon_PartsAfterByteLevel_WorkOnItsLetters()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["pre_tokenizer"] = TestTokenizers.Object("""
            {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"}, {"type": "ByteLevel", "add_prefix_space": false},
             {"type": "Digits", "individual_digits": false}, {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}]}
            """);
        json["added_tokens"] = new JsonArray();
        json["post_processor"] = null;
        foreach (var pair in new[] { "1 2", "3 4", "Ã ²", "² ²" })
        {
            json["model"]!["vocab"]![pair.Replace(" ", "", StringComparison.Ordinal)] = json["model"]!["vocab"]!.AsObject().Count;
            json["model"]!["merges"]!.AsArray().Add(pair);
        }

        // 1234 is 123 and 4, and the byte 0xB2 is written ², which is a number too.
        var tokenizer = TestTokenizers.Load(json);
        Assert.That(tokenizer.Encode("1234 the", addSpecial: false).Select(tokenizer.TokenText), Is.EqualTo(new[] { "12", "3", "4", " the" }));
        Assert.That(tokenizer.Encode("ò", addSpecial: false), Is.EqualTo(new[] { 0xC3, 0xB2 }));
        Assert.That(tokenizer.Decode(tokenizer.Encode("ò, 1²!")), Is.EqualTo("ò, 1²!"));
    }

    [TestCase("hello</s>hello", new[] { 1, Hello, 2, 273, 261, 280 })]
    [TestCase("hello</s> hello", new[] { 1, Hello, 2, Hello })]
    [TestCase("</s>hello", new[] { 1, 2, 273, 261, 280 })]
    [TestCase("hello", new[] { 1, Hello })]
    public void SentencePiece_NotLegacy_PutsASpaceBeforeTheWholeTextOnly(string text, int[] ids) =>
        Assert.That(Piece("""{"legacy": false}""").Encode(text, parseSpecial: true), Is.EqualTo(ids));

    [Test]
    public void SentencePiece_Legacy_PutsASpaceAfterEachControlToken() =>
        Assert.That(Piece("{}").Encode("hello</s> hello", parseSpecial: true), Is.EqualTo(new[] { 1, Hello, 2, Mark, Hello }));

    [Test]
    public void SentencePiece_AddPrefixSpaceFalse_PutsNone() =>
        Assert.That(Piece("""{"add_prefix_space": false}""").Encode("hello"), Is.EqualTo(new[] { 1, 273, 261, 280 }));

    [Test]
    public void SentencePiece_BosOfTheConfiguration_IsPutBefore()
    {
        var tokenizer = Piece("""
            {"bos_token": "<|start|>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true,
             "added_tokens_decoder": {"295": {"content": "<|start|>", "special": true}}}
            """);
        Assert.That(tokenizer.Encode("hello"), Is.EqualTo(new[] { FirstFree, Hello, 2 }));
        Assert.That(tokenizer.BosId, Is.EqualTo(FirstFree));
    }

    [TestCase("my tag", new[] { 1, FirstFree })]
    [TestCase("hello my tag", new[] { 1, Hello, Mark, FirstFree })]
    [TestCase("<x>hello", new[] { 1, FirstFree + 1, Hello })]
    public void SentencePiece_NormalizedAddedTokens_AreFoundInTheTextAsItStands(string text, int[] ids) => Assert.That(
        Piece("""{"added_tokens_decoder": {"295": {"content": "my tag", "normalized": true}, "296": {"content": "<x>", "normalized": true}}}""").Encode(text), Is.EqualTo(ids));

    [Test]
    public void SentencePiece_UnusedPieces_LeadToLongerOnesAndAreSplitAgain()
    {
        (string, float, int)[] words = [("ab", -1, 5), ("abc", -2, 1), ("▁", -8, 1), ("a", -5, 1), ("b", -6, 1), ("c", -7, 1)];
        var tokenizer = TestTokenizers.Load(TestTokenizers.SentencePiece(pieces: TestTokenizers.Pieces().Take(259).Concat(words)), "tokenizer.model");
        Assert.That(tokenizer.Encode("abc", addSpecial: false).Select(tokenizer.TokenText), Is.EqualTo(new[] { " ", "abc" }));
        Assert.That(tokenizer.Encode("abab", addSpecial: false).Select(tokenizer.TokenText), Is.EqualTo(new[] { " ", "a", "b", "a", "b" }));
    }

    [Test]
    public void ByteOrderMark_IsSkipped()
    {
        var file = Encoding.UTF8.GetBytes("\uFEFF" + TestTokenizers.Llama2().ToJsonString());
        Assert.That(TestTokenizers.Load(file).Encode("hello"), Is.EqualTo(new[] { 1, Hello }));
    }

    [TestCase("<!DOCTYPE html><html></html>", "HTML")]
    [TestCase("\n<html>", "HTML")]
    [TestCase("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9", "git lfs pull")]
    [TestCase("GGUF\u0003\0\0\0", "GGUF")]
    [TestCase("PK\u0003\u0004", "zip")]
    [TestCase("[1, 2]", "JSON")]
    [TestCase("#version: 0.2\na b", "merges")]
    [TestCase("hello", "no tokenizer")]
    public void SomethingElse_IsNamed(string file, string fact) => Assert.That(
        () => TestTokenizers.Load(Encoding.UTF8.GetBytes(file)),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains(fact).And.Message.Not.Contains("sound sentencepiece"));

    [Test]
    public void Tekken_ReadsRanksBehindItsSpecialTokens()
    {
        var vocab = new JsonArray([.. Enumerable.Range(0, 260).Select(rank => (JsonNode)new JsonObject
        {
            ["rank"] = rank,
            ["token_bytes"] = Convert.ToBase64String(rank < 256 ? [(byte)rank] : rank == 256 ? "ab"u8 : rank == 257 ? "12"u8 : rank == 258 ? "AB"u8 : "xx"u8),
        })]);
        var json = new JsonObject
        {
            ["config"] = new JsonObject { ["pattern"] = @"\p{Lu}+|\p{Ll}+|\p{N}|.", ["default_vocab_size"] = 279, ["default_num_special_tokens"] = 20 },
            ["vocab"] = vocab,
        };
        var tokenizer = TestTokenizers.Load(json);
        Assert.That((tokenizer.VocabSize, tokenizer.BosId, tokenizer.EosIds), Is.EqualTo((279, (int?)1, new[] { 2 })));
        Assert.That(tokenizer.Encode("abAB12xx"), Is.EqualTo(new[] { 1, 276, 278, 20 + '1', 20 + '2', 20 + 'x', 20 + 'x' }));
        Assert.That(tokenizer.Encode("[INST]</s>", parseSpecial: true), Is.EqualTo(new[] { 1, 3, 2 }));
        Assert.That(tokenizer.Encode("[INST]"), Has.None.EqualTo(3));
    }

    [Test]
    public void TokensWithARole_AreSpecial_AndThoseOfTheTemplateSteer()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        foreach (var (name, i) in new[] { "<end>", "<user>", "<tool>" }.Select((name, i) => (name, i)))
        {
            json["added_tokens"]!.AsArray().Add(TestTokenizers.Added(268 + i, name, special: false));
        }

        var tokenizer = TestTokenizers.Load(json, """{"eos_token": "<end>", "chat_template": "{% for m in messages %}<user>{{ m.content }}{% endfor %}"}""");
        Assert.That((tokenizer.IsSpecial(268), tokenizer.IsSpecial(269), tokenizer.IsSpecial(270)), Is.EqualTo((true, false, false)));
        Assert.That(tokenizer.Encode("<end><user><tool>", parseSpecial: true, addSpecial: false), Is.EqualTo(new[] { 268, 269, 270 }));
        Assert.That(tokenizer.Encode("<end><user><tool>", addSpecial: false), Does.Contain(269).And.Contain(270).And.None.EqualTo(268));
        Assert.That(tokenizer.EncodeUntrusted("<end><user><tool>"), Does.Contain(270).And.None.EqualTo(268).And.None.EqualTo(269));
        Assert.That(tokenizer.Decode(tokenizer.EncodeUntrusted("<end><user><tool>")), Is.EqualTo("<end><user><tool>"));
    }

    [TestCase(false, new[] { 268, 269, 'a' })]
    [TestCase(true, new[] { 268, 'a' })]
    public void AddedTokenAfterOneThatTakesItsSpace_IsStillFoundUnlessItStripsToo(bool strips, int[] ids)
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        var (first, spaces) = (TestTokenizers.Added(268, "<x>", special: false), TestTokenizers.Added(269, "  ", special: false));
        first["rstrip"] = true;
        spaces["lstrip"] = strips;
        json["added_tokens"]!.AsArray().Add(first);
        json["added_tokens"]!.AsArray().Add(spaces);
        Assert.That(TestTokenizers.Load(json).Encode("<x>  a", addSpecial: false), Is.EqualTo(ids));
    }

    [Test]
    public void CharacterWithoutAToken_VanishesBetweenMarks()
    {
        var json = TestTokenizers.Llama2();
        json["model"]!["byte_fallback"] = false;
        json["model"]!["unk_token"] = null;
        Assert.That(TestTokenizers.Load(json).Encode("h é ", addSpecial: false).Select(TestTokenizers.Load(json).TokenText), Is.EqualTo(new[] { " h", "  " }));
    }

    [Test]
    public void BeginsTwice_IsTrueOfTwoBeginningsOnly()
    {
        var tokenizer = TestTokenizers.Load(TestTokenizers.Llama2());
        Assert.That(tokenizer.BeginsTwice(tokenizer.Encode("<s>hello", parseSpecial: true)), Is.True);
        Assert.That(tokenizer.BeginsTwice(tokenizer.Encode("<s>hello", addSpecial: false, parseSpecial: true)), Is.False);
        Assert.That(tokenizer.BeginsTwice([1]), Is.False);
    }

    private static Tokenizer Piece(string config) => TestTokenizers.Load(TestTokenizers.SentencePiece(), "tokenizer.model", config);
}
