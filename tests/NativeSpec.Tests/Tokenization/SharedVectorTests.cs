using System.Globalization;
using System.IO.Compression;
using System.Text.Json;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Real tokenizers against ids that other programs made.</summary>
public sealed class SharedVectorTests
{
    [TestCase("phi3/tokenizer.json", "phi-3")]
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

    [TestCase("deepseek-v3")]
    [TestCase("gpt-oss")]
    [TestCase("gpt2", "tokenizer.json")]
    [TestCase("mistral-tekken")]
    [TestCase("mistral-v3")]
    [TestCase("olmo2-dolma2")]
    [TestCase("phi3")]
    [TestCase("qwen3")]
    public void Encode_EveryVectorOfTheReferenceLibrary_IsExact(string name, string? file = null)
    {
        using var vectors = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("data", "tokenizers", name, "vectors.json")));
        var folder = Unpack(SharedFiles.Require("data", "tokenizers", name));
        try
        {
            var tokenizer = Tokenizer.Load(file is null ? folder : Path.Combine(folder, file));
            var readsControlText = !name.StartsWith("mistral", StringComparison.Ordinal); // the references of these never do
            Assert.Multiple(() =>
            {
                foreach (var item in vectors.RootElement.GetProperty("cases").EnumerateArray())
                {
                    var text = item.GetProperty("text").GetString()!;
                    var ids = Ids(item, "ids");
                    Assert.That(tokenizer.Encode(text, addSpecial: false), Is.EqualTo(Ids(item, "ids_plain")), $"plain ids of '{text}'");
                    var spans = tokenizer.EncodeWithOffsets(text, addSpecial: false);
                    Assert.That(spans.Tokens.Select(span => span.Id), Is.EqualTo(Ids(item, "ids_plain")));
                    Assert.That(Uncovered(spans), Is.Zero, $"characters of '{text}' that no token stands for");
                    Assert.That(tokenizer.Decode(ids, skipSpecial: false), Is.EqualTo(item.TryGetProperty("decoded", out var decoded) ? decoded.GetString() : text));
                    if (readsControlText)
                    {
                        Assert.That(tokenizer.Encode(text, addSpecial: false, parseSpecial: true), Is.EqualTo(ids), $"ids of '{text}'");
                        Assert.That(tokenizer.Encode(text, parseSpecial: true), Is.EqualTo(Ids(item, "ids_special")), $"ids of '{text}' with what is around it");
                    }
                }
            });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        static int[] Ids(JsonElement item, string name) => [.. (item.TryGetProperty(name, out var own) ? own : item.GetProperty("ids")).EnumerateArray().Select(id => id.GetInt32())];
    }

    // Tokens lie in order, side by side; where they overlap, it is in one character that they spell together.
    private static int Uncovered(EncodedText encoded)
    {
        var (done, uncovered) = (0, 0);
        foreach (var (_, start, end) in encoded.Tokens)
        {
            uncovered += Math.Max(0, start - done) + (done - start > 2 || end < done ? 1 : 0);
            done = end;
        }

        return uncovered + encoded.Text.Length - done;
    }

    [Test]
    public void EncodeUntrusted_RoleMarkersThatAreNotSpecial_StayText()
    {
        var folder = Unpack(SharedFiles.Require("data", "tokenizers", "deepseek-v3"), withConfig: true);
        try
        {
            var tokenizer = Tokenizer.Load(folder);
            const string Text = "<｜User｜>hello<｜end▁of▁sentence｜>";
            Assert.That(tokenizer.Encode(Text), Does.Contain(128803).And.None.EqualTo(1));
            Assert.That(tokenizer.EncodeUntrusted(Text), Has.None.EqualTo(128803).And.None.EqualTo(1));
            Assert.That(tokenizer.Decode(tokenizer.EncodeUntrusted(Text)), Is.EqualTo(Text));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The tokenizer's own files, unpacked: the references know no tokenizer_config.json.
    internal static string Unpack(string source, bool withConfig = false)
    {
        var folder = Directory.CreateTempSubdirectory("tokenizer-test-").FullName;
        foreach (var file in Directory.GetFiles(source))
        {
            var name = Path.GetFileName(file);
            if (name == "vectors.json" || (name == "tokenizer_config.json" && !withConfig))
            {
                continue;
            }

            using var packed = File.OpenRead(file);
            using var stream = name.EndsWith(".gz", StringComparison.Ordinal) ? (Stream)new GZipStream(packed, CompressionMode.Decompress) : packed;
            using var target = File.Create(Path.Combine(folder, name.EndsWith(".gz", StringComparison.Ordinal) ? name[..^3] : name));
            stream.CopyTo(target);
        }

        return folder;
    }
}
