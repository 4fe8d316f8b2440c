using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;
using NativeSpec.Loading;
using Tokenizer = NativeSpec.Tokenization.Tokenizer;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>The table of docs/tokenizers.md: every row has a test.</summary>
public sealed class ReadableFilesTests
{
    private const string Text = "Hello, world!";

    [Test]
    public void SentencePieceModel_Both()
        => Both(RealTokenizers.Mistral);

    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Cl100k)]
    [TestCase(RealTokenizers.O200k)]
    public void Ranks_Both_TheirsWithThePatternOfTheCaller(string name)
        => Both(name);

    [TestCase(RealTokenizers.Gpt2Merges)]
    [TestCase(RealTokenizers.CodeGen)]
    public void VocabularyAndMerges_ThroughTheirs_IsOursToo(string name)
        => Both(name);

    [TestCase("qwen3")]
    [TestCase("phi3", "tokenizer.json")]
    public void TokenizerJson_OursAlone(string name, string file = "tokenizer.json.gz")
    {
        using var folder = new Unpacked(name, file);
        Assert.That(Tokenizer.Load(folder.Path).Encode(Text, addSpecial: false), Is.Not.Empty);
        Assert.That(
            () =>
            {
                using var json = File.OpenRead(Path.Combine(folder.Path, "tokenizer.json"));
                BpeTokenizer.Create(json, null);
            },
            Throws.InstanceOf<JsonException>().With.Message.Contains("$.version"), "theirs, to which the file's first member is a token that has no number");
    }

    [Test]
    public void Tekken_OursAlone()
    {
        using var folder = new Unpacked("mistral-tekken", "tekken.json.gz");
        Assert.That(Tokenizer.Load(folder.Path).Encode(Text, addSpecial: false), Is.Not.Empty);
        Assert.That(
            () =>
            {
                using var json = File.OpenRead(Path.Combine(folder.Path, "tekken.json"));
                TiktokenTokenizer.Create(json, new RegexPreTokenizer(new Regex(RealTokenizers.Gpt2Pattern), null), null);
            },
            Throws.InvalidOperationException.With.Message.Contains("vocab"), "theirs, to which its lines are no ranks");
    }

    [Test]
    public void VocabularyAndMerges_TheirsAlone_OursSaysWhatToDo()
    {
        using var folder = new Unpacked(("vocab.json", """{"a": 0, "b": 1, "ab": 2}"""), ("merges.txt", "#version: 0.2\na b"));
        Assert.That(Assert.Throws<ModelFormatException>(() => Tokenizer.Load(folder.Path)).Message, Does.Contain("save_pretrained"));
        Assert.That(BpeTokenizer.Create(Path.Combine(folder.Path, "vocab.json"), Path.Combine(folder.Path, "merges.txt")).EncodeToIds("ab"), Is.EqualTo(new[] { 2 }));
    }

    [Test]
    public void WordPiece_TheirsAlone()
    {
        using var folder = new Unpacked(("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\nhi\n##gh"));
        Assert.Throws<ModelFormatException>(() => Tokenizer.Load(folder.Path));
        Assert.Throws<ModelFormatException>(() => Tokenizer.Load(Path.Combine(folder.Path, "vocab.txt")));
        Assert.That(WordPieceTokenizer.Create(Path.Combine(folder.Path, "vocab.txt")).EncodeToIds("high"), Is.EqualTo(new[] { 5, 6 }));
        Assert.That(BertTokenizer.Create(Path.Combine(folder.Path, "vocab.txt")).EncodeToIds("high"), Is.EqualTo(new[] { 1, 5, 6, 2 }));
    }

    [Test]
    public void RanksOfAnUnknownVocabulary_TheirsAlone_OursSaysWhatToDo()
    {
        var ranks = string.Join('\n', Enumerable.Range(0, 256).Select(b => $"{Convert.ToBase64String([(byte)b])} {b}"));
        using var folder = new Unpacked(("own.tiktoken", ranks));
        Assert.That(Assert.Throws<ModelFormatException>(() => Tokenizer.Load(folder.Path)).Message, Does.Contain("tokenizer.json"));
        var theirs = TiktokenTokenizer.Create(new MemoryStream(Encoding.UTF8.GetBytes(ranks)), new RegexPreTokenizer(new Regex(RealTokenizers.Gpt2Pattern), null), null);
        var asOurs = theirs.AsNativeSpec();
        Assert.That(asOurs.Encode("hé"), Is.EqualTo(new[] { 'h', 0xC3, 0xA9 }), "and so ours has it after all");
        Assert.That(asOurs.Decode(asOurs.Encode("hé🦙")), Is.EqualTo("hé🦙"));
    }

    private static void Both(string name)
        => Assert.That(RealTokenizers.Ours(name).Encode(Text, addSpecial: false), Is.EqualTo(RealTokenizers.Theirs(name).AsNativeSpec().Encode(Text, addSpecial: false)));

    private sealed class Unpacked : IDisposable
    {
        public Unpacked(string name, string file)
        {
            using var source = SharedVectors.Open(name, file);
            using var target = File.Create(System.IO.Path.Combine(Path, file.Replace(".gz", "", StringComparison.Ordinal)));
            source.CopyTo(target);
        }

        public Unpacked(params (string Name, string Text)[] files)
        {
            foreach (var (name, text) in files)
            {
                File.WriteAllText(System.IO.Path.Combine(Path, name), text);
            }
        }

        public string Path { get; } = Directory.CreateTempSubdirectory("tokenizer-test-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
