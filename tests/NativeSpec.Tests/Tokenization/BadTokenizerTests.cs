using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Broken and hostile tokenizer files: each is refused by a <see cref="ModelFormatException"/> that names the place.</summary>
public sealed class BadTokenizerTests
{
    [TestCase("model.merges", """["h zz"]""", "model.merges[0]")]
    [TestCase("model.merges", """["h"]""", "model.merges[0]")]
    [TestCase("model.merges", """["h e l"]""", "model.merges[0]")]
    [TestCase("model.merges", """[" e"]""", "model.merges[0]")]
    [TestCase("model.merges", """[["h", "e", "l"]]""", "model.merges[0]")]
    [TestCase("model.merges", """[[1, 2]]""", "a string")]
    [TestCase("model.merges", """[7]""", "a string")]
    [TestCase("model.merges", "null", "model.merges is missing")]
    [TestCase("model.type", "\"WordPiece\"", "WordPiece")]
    [TestCase("model.vocab", "[]", "an object")]
    [TestCase("model.vocab", """{"a": 1.5}""", "model.vocab.a")]
    [TestCase("model.vocab", """{"a": -1}""", "model.vocab.a")]
    [TestCase("model.vocab", """{"a": 1000000}""", "model.vocab.a")]
    [TestCase("model.vocab", """{"a": 1e99}""", "model.vocab.a")]
    [TestCase("model.vocab", """{"a": 0, "b": 0}""", "two tokens")]
    [TestCase("model.unk_token", "\"nothing\"", "model.unk_token")]
    [TestCase("model.dropout", "0.1", "dropout")]
    [TestCase("model.continuing_subword_prefix", "\"##\"", "##")]
    [TestCase("model.end_of_word_suffix", "\"</w>\"", "</w>")]
    [TestCase("model.ignore_merges", "1", "true or false")]
    [TestCase("added_tokens", """[{"id": -1, "content": "x"}]""", "added_tokens[0].id")]
    [TestCase("added_tokens", """[{"content": "x"}]""", "added_tokens[0].id")]
    [TestCase("added_tokens", """[{"id": 999}]""", "added_tokens[0].content")]
    [TestCase("model.type", "\"Unigram\"", "model.vocab")]
    [TestCase("normalizer", """{"type": "BertNormalizer"}""", "BertNormalizer")]
    [TestCase("normalizer", """{"type": "Precompiled"}""", "precompiled_charsmap")]
    [TestCase("normalizer", """{"type": "Precompiled", "precompiled_charsmap": "AAAA"}""", "character map")]
    [TestCase("normalizer", """{"type": "Replace", "pattern": {"Regex": "(a)\\1"}, "content": ""}""", "'\\1'")]
    [TestCase("normalizer", """{"type": "Prepend", "prepend": ""}""", "normalizer.prepend")]
    [TestCase("normalizer", """{}""", "normalizer.type")]
    [TestCase("pre_tokenizer", """{"type": "BertPreTokenizer"}""", "BertPreTokenizer")]
    [TestCase("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "(?<=ab)c"}, "behavior": "Isolated"}""", "look-behind")]
    [TestCase("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "((a{1000}){1000}){1000}"}, "behavior": "Isolated"}""", "states")]
    [TestCase("pre_tokenizer", """{"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways"}""", "Sideways")]
    [TestCase("post_processor", """{"type": "RobertaProcessing", "sep": ["</s>", 2]}""", "post_processor.cls")]
    [TestCase("post_processor", """{"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": "x"}""", "post_processor.cls")]
    [TestCase("pre_tokenizer", """{"type": "Metaspace", "replacement": "__"}""", "one character")]
    [TestCase("pre_tokenizer", """{"type": "Metaspace", "replacement": "_", "prepend_scheme": "x"}""", "prepend_scheme")]
    [TestCase("decoder", """{"type": "WordPiece"}""", "WordPiece")]
    [TestCase("decoder", """{"type": "Strip", "content": " ", "start": 2, "stop": 0}""", "decoder.start")]
    [TestCase("post_processor", """{"type": "PairProcessing"}""", "PairProcessing")]
    [TestCase("post_processor", """{"type": "TemplateProcessing", "single": []}""", "post_processor.single")]
    [TestCase("post_processor", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {}}""", "special_tokens.x")]
    [TestCase("post_processor", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {}}], "special_tokens": {"x": {"ids": [9999]}}}""", "9999")]
    public void Load_BadMember_IsRefusedWithItsPlace(string path, string value, string fact)
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        var (parent, name) = path.Split('.') is [var outer, var inner] ? (json[outer]!.AsObject(), inner) : (json, path);
        parent[name] = JsonNode.Parse(value);
        Assert.That(() => TestTokenizers.Load(json), Throws.InstanceOf<ModelFormatException>().With.Message.Contains(fact).And.Message.Contains("tokenizer.json"));
    }

    [TestCase("")]
    [TestCase("{")]
    [TestCase("{}")]
    [TestCase("[]")]
    [TestCase("{\"model\": {\"vocab\": {\"a\": 0, \"a\": 1}, \"merges\": []}}")]
    [TestCase("{\"model\": {\"vocab\": {\"\\ud800\": 0}, \"merges\": []}}")]
    [TestCase("{\"model\": {\"vocab\": {\"a\": 0}, \"unk_token\": \"\\udfff\", \"merges\": []}}")]
    [TestCase("{\"model\": {\"vocab\": {}, \"merges\": []}}")]
    [TestCase("garbage")]
    [TestCase("\0\0\0\0")]
    public void Load_NoTokenizerAtAll_IsRefused(string file) =>
        Assert.That(() => TestTokenizers.Load(Encoding.UTF8.GetBytes(file)), Throws.InstanceOf<ModelFormatException>());

    [Test]
    public void Load_InvalidUtf8InJson_IsRefused()
    {
        var file = Encoding.UTF8.GetBytes(TestTokenizers.Llama2().ToJsonString().Replace("hello", "h#llo", StringComparison.Ordinal));
        file[file.AsSpan().IndexOf((byte)'#')] = 0xFF;
        Assert.That(() => TestTokenizers.Load(file), Throws.InstanceOf<ModelFormatException>());
    }

    [Test]
    public void Load_DepthBomb_IsRefused() => Assert.That(
        () => TestTokenizers.Load(Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 100_000))), Throws.InstanceOf<ModelFormatException>());

    [Test]
    public void Load_JsonTruncatedAnywhere_IsRefused()
    {
        var file = Encoding.UTF8.GetBytes(TestTokenizers.Llama2().ToJsonString());
        for (var length = 0; length < file.Length; length += 7)
        {
            Assert.That(() => TestTokenizers.Load(file[..length]), Throws.InstanceOf<ModelFormatException>(), $"{length} bytes");
        }
    }

    [Test]
    public void Load_MissingByteTokenOfByteLevel_IsUnknownOrLeftOut()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!.AsObject().Remove("!");
        Assert.That(TestTokenizers.Load(json).Encode("b!", addSpecial: false), Is.EqualTo(new int[] { 'b' }));
        json["model"]!["unk_token"] = "a";
        Assert.That(TestTokenizers.Load(json).Encode("b!", addSpecial: false), Is.EqualTo(new int[] { 'b', 'a' }));
    }

    [Test]
    public void Load_MissingByteTokenOfByteFallback_MakesItsCharactersUnknown()
    {
        var json = TestTokenizers.Llama2();
        json["model"]!["vocab"]!.AsObject().Remove("<0x61>");
        Assert.That(TestTokenizers.Load(json).Decode(TestTokenizers.Load(json).Encode("a")), Is.EqualTo("a"));
        json["model"]!["vocab"]!.AsObject().Remove("<0x0A>");
        Assert.That(TestTokenizers.Load(json).Encode("\n"), Does.Contain(0));
    }

    [Test]
    public void Load_GapBetweenIds_DecodesToNothing()
    {
        var json = TestTokenizers.ByteLevel(TestTokenizers.MinVocabSize);
        json["model"]!["vocab"]!["<far>"] = 300;
        var tokenizer = TestTokenizers.Load(json);
        Assert.That((tokenizer.VocabSize, tokenizer.Decode([290, 'a', 300])), Is.EqualTo((301, "a<far>")));
    }

    [Test]
    public void Load_NameThatIsAlmostAByteToken_IsText()
    {
        var json = TestTokenizers.Llama2();
        json["model"]!["vocab"]!["<0x-1>"] = 295;
        Assert.That(TestTokenizers.Load(json).Decode([295]), Is.EqualTo("<0x-1>"));
    }

    [Test]
    public void Load_BadConfigBesideIt_IsRefusedByItsName() => Assert.That(
        () => TestTokenizers.Load(TestTokenizers.Llama2(), "{\"eos_token\": 7}"),
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains("tokenizer_config.json: eos_token"));

    [Test]
    public void Load_FileBeyondTheLimit_IsRefusedWithItsSize()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, new string(' ', 2000));
        Assert.That(
            () => Tokenizer.Load(file, LoadLimits.Default with { MaxTokenizerBytes = 1000 }),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("2000"));
        File.Delete(file);
        Assert.That(() => Tokenizer.Load(file), Throws.InstanceOf<ModelFormatException>());
    }

    [Test]
    public void Load_FolderWithoutATokenizer_SaysWhatItLookedFor()
    {
        var directory = Directory.CreateTempSubdirectory("tokenizer-test-");
        Assert.That(() => Tokenizer.Load(directory.FullName), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("tokenizer.model"));
        directory.Delete();
    }
}
