using System.Text.Json.Nodes;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>The ways of tokenizer.json to write spaces as U+2581 and back.</summary>
public sealed class MetaspaceTokenizerTests
{
    private const int Hello = 263, Mark = 265;

    [TestCase("""{"prepend_scheme": "always"}""", new[] { 1, Hello, 2, Hello })]
    [TestCase("""{"prepend_scheme": "always", "split": false}""", new[] { 1, Hello, 2, Hello })]
    [TestCase("""{"prepend_scheme": "first"}""", new[] { 1, Hello, 2, 273, 261, 280 })]
    [TestCase("""{"prepend_scheme": "never"}""", new[] { 1, 273, 261, 280, 2, 273, 261, 280 })]
    [TestCase("""{"add_prefix_space": true}""", new[] { 1, Hello, 2, Hello })]
    [TestCase("""{"add_prefix_space": false}""", new[] { 1, 273, 261, 280, 2, 273, 261, 280 })]
    public void Encode_EachScheme_PutsMarksWhereItSays(string metaspace, int[] ids) =>
        Assert.That(Load(metaspace).Encode("hello</s>hello", parseSpecial: true), Is.EqualTo(ids));

    [TestCase("first")]
    [TestCase("always")]
    [TestCase("never")]
    public void Decode_RandomTexts_GivesThemBack(string scheme)
    {
        var tokenizer = Load($$"""{"prepend_scheme": "{{scheme}}"}""");
        var random = new Random(5);
        for (var i = 0; i < 500; i++)
        {
            // A text that begins with a space gets no mark in front, so its space is taken for one: transformers loses it too.
            var text = RandomText.Next(random, 10);
            var expected = scheme != "never" && text.StartsWith(' ') ? text[1..] : text;
            Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Encode_UnknownCharacters_FuseOnlyWhenTheModelSays()
    {
        foreach (var fuse in new[] { true, false })
        {
            var json = TestTokenizers.Llama2();
            json["model"]!["byte_fallback"] = false;
            json["model"]!["fuse_unk"] = fuse;
            Assert.That(TestTokenizers.Load(json).Encode("éé"), Is.EqualTo(fuse ? new[] { 1, Mark, 0 } : [1, Mark, 0, 0]));
        }
    }

    [Test]
    public void Encode_MergesAsPairs_AreTheSameMerges()
    {
        var json = TestTokenizers.Llama2();
        json["model"]!["merges"] = new JsonArray(
            [.. json["model"]!["merges"]!.AsArray().Select(m => (JsonNode)TestTokenizers.Strings(m!.GetValue<string>().Split(' ')))]);
        Assert.That(TestTokenizers.Load(json).Encode("hello"), Is.EqualTo(new[] { 1, Hello }));
    }

    private static Tokenizer Load(string metaspace)
    {
        var json = TestTokenizers.Llama2();
        json["normalizer"] = null;
        json["pre_tokenizer"] = Part(metaspace);
        json["decoder"] = TestTokenizers.Sequence("decoders", TestTokenizers.Object("""{"type": "ByteFallback"}"""), Part(metaspace));
        return TestTokenizers.Load(json);
    }

    private static JsonObject Part(string metaspace)
    {
        var part = TestTokenizers.Object(metaspace);
        part["type"] = "Metaspace";
        part["replacement"] = "▁";
        return part;
    }
}
