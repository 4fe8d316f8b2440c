using System.Globalization;
using System.Text.Json;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Real tokenizers against ids that other programs made.</summary>
public sealed class SharedVectorTests
{
    [TestCase("phi3/tokenizer.json", "phi-3")]
    [TestCase("gpt2/tokenizer.json", "gpt-2")]
    [TestCase("gpt2/gpt2.tiktoken", "gpt-2")]
    public void Encode_EveryVector_GivesItsIdsAndDecodesBack(string file, string vectors)
    {
        var tokenizer = Tokenizer.Load(SharedFiles.Require(["data", "tokenizers", .. file.Split('/')]));
        var texts = File.ReadAllText(SharedFiles.Require("data", "tokenizers", "vectors", $"ggml-vocab-{vectors}.gguf.inp")).Split("\n__ggml_vocab_test__\n")[..^1];
        var lines = File.ReadAllLines(SharedFiles.Require("data", "tokenizers", "vectors", $"ggml-vocab-{vectors}.gguf.out"));
        Assert.That(texts, Has.Length.EqualTo(lines.Length).And.Length.GreaterThanOrEqualTo(46));
        Assert.Multiple(() =>
        {
            foreach (var (text, line) in texts.Zip(lines))
            {
                var expected = line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture));
                Assert.That(tokenizer.Encode(text, addSpecial: false), Is.EqualTo(expected), $"ids of '{text}'");
                Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(text));
                Assert.That(tokenizer.Decode(tokenizer.Encode(text, parseSpecial: true)), Is.EqualTo(text));
            }
        });
    }

    [TestCase("stories260k")]
    [TestCase("stories-xs")]
    [TestCase("shakespeare-2m")]
    public void Encode_PromptOfACheckpoint_GivesItsPromptIds(string model)
    {
        using var expected = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("models", "expected.json")));
        var facts = expected.RootElement.GetProperty(model);
        var tokenizer = Tokenizer.Load(SharedFiles.Require("models", model));
        var prompt = facts.GetProperty("prompt").GetString()!;
        Assert.That(tokenizer.Encode(prompt), Is.EqualTo(facts.GetProperty("prompt_ids").EnumerateArray().Select(id => id.GetInt32())));
        Assert.That(tokenizer.Decode(tokenizer.Encode(prompt)), Is.EqualTo(prompt));
        Assert.That((tokenizer.BosId, tokenizer.EosIds), Is.EqualTo(((int?)1, new[] { 2 })));
    }

    [Test]
    public void Encode_ControlTextInPhi3_IsTextUnlessAsked()
    {
        var tokenizer = Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "phi3"));
        foreach (var (text, id) in new[] { ("<|end|>", 32007), ("</s>", 2), ("<s>", 1), ("<|endoftext|>", 32000) })
        {
            Assert.That(tokenizer.Encode(text, addSpecial: false), Has.None.EqualTo(id));
            Assert.That(tokenizer.Decode(tokenizer.Encode(text)), Is.EqualTo(text));
            Assert.That(tokenizer.Encode(text, addSpecial: false, parseSpecial: true), Is.EqualTo(new[] { id }));
        }
    }

    [Test]
    public void Encode_SpacesWithParseSpecial_UsesTheAddedSpaceTokens()
    {
        var tokenizer = Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "gpt2", "tokenizer.json"));
        Assert.That(tokenizer.Encode("  ", parseSpecial: true), Is.EqualTo(new[] { 50286 }));
    }
}
