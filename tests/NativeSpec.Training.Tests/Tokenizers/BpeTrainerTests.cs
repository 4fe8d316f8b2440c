using System.Text;
using NativeSpec.Tokenization;
using NativeSpec.Training.Tokenizers;

namespace NativeSpec.Training.Tests.Tokenizers;

public sealed class BpeTrainerTests
{
    private static readonly string[] Documents =
    [
        "/// <summary>Gets the number of elements in the collection.</summary>\n/// <returns>The number of elements.</returns>\n",
        "/// <summary>Tries to get the value; 12345 aaaaaaa.</summary>\n\tint  x = y?.Length ?? 0;\n",
        "Größe, 大きさ, 😀😀😀, e\u0301, \r\n\u00A0it's they'll",
    ];

    [TestCase(258)]
    [TestCase(300)]
    [TestCase(340)]
    public void Train_IsEqualToTheNaiveWay(int size)
        => Assert.That(BpeTrainer.Train(Documents, size).MergePairs, Is.EqualTo(NaiveBpe.Merges(Documents, size)));

    [Test]
    public void Train_RandomTextOfFewLetters_IsEqualToTheNaiveWay([Range(1, 8)] int seed)
    {
        // Few letters make many ties, overlaps (aaa) and tokens with two spellings.
        var random = new Random(seed);
        string[] documents = [.. Enumerable.Range(0, 20).Select(_ => string.Concat(Enumerable.Range(0, 60).Select(_ => "aab b"[random.Next(5)])))];
        Assert.That(BpeTrainer.Train(documents, 290).MergePairs, Is.EqualTo(NaiveBpe.Merges(documents, 290)));
    }

    [Test]
    public void Train_OrderOfDocuments_DoesNotMatter()
        => Assert.That(BpeTrainer.Train(Documents.Reverse(), 330).MergePairs, Is.EqualTo(BpeTrainer.Train(Documents, 330).MergePairs));

    [Test]
    public void Write_ReadByTheTokenizer_HasTheSizeAndReturnsEveryText()
    {
        using var folder = new TokenizerFolder(Documents, 320);
        string[] texts = [.. Documents, "", "never seen: \0\u0001\uFFFD ħ", "<|endoftext|>", "   \n\n   "];
        Assert.Multiple(() =>
        {
            Assert.That(folder.Tokenizer.VocabSize, Is.EqualTo(320));
            Assert.That(texts.Select(text => folder.Tokenizer.Decode(folder.Tokenizer.Encode(text))), Is.EqualTo(texts));
        });
    }

    [Test]
    public void Write_TheControlToken_BeginsAndEndsTextsAndIsNoneInTextOfUsers()
    {
        using var folder = new TokenizerFolder(Documents, 300);
        Assert.Multiple(() =>
        {
            Assert.That(folder.Tokenizer.BosId, Is.Zero);
            Assert.That(folder.Tokenizer.EosIds, Is.EqualTo(new[] { 0 }));
            Assert.That(folder.Tokenizer.Encode("a"), Is.EqualTo(new[] { 0, 1 + 'a' }));
            Assert.That(folder.Tokenizer.Encode("<|endoftext|>", addSpecial: false), Does.Not.Contain(0));
            Assert.That(folder.Tokenizer.Encode("<|endoftext|>", addSpecial: false, parseSpecial: true), Is.EqualTo(new[] { 0 }));
        });
    }

    [Test]
    public void Write_ATextOfTheCorpus_TakesTheLearntTokens()
    {
        using var folder = new TokenizerFolder(Documents, 340);
        var ids = folder.Tokenizer.Encode("/// <summary>", addSpecial: false);
        Assert.That(ids.Select(folder.Tokenizer.TokenText), Is.EqualTo(new[] { "///", " <", "summary", ">" }));
    }

    [Test]
    public void Write_Twice_GivesTheSameBytes()
    {
        using TokenizerFolder one = new(Documents, 330), two = new(Documents, 330);
        Assert.That(File.ReadAllBytes(one.File), Is.EqualTo(File.ReadAllBytes(two.File)));
    }

    [TestCase(256)]
    [TestCase(0)]
    [TestCase(BpeTrainer.MaxVocabulary + 1)]
    public void Train_SizeThatCannotBe_Throws(int size)
        => Assert.That(() => BpeTrainer.Train(Documents, size), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("257"));

    [Test]
    public void Train_MoreTokensThanTheTextHasPairs_SaysHowManyThereAre()
        => Assert.That(() => BpeTrainer.Train(["abc"], 300), Throws.ArgumentException.With.Message.Contains("259 tokens only"));

    [Test]
    public void Train_NoText_Throws()
        => Assert.That(() => BpeTrainer.Train([""], 300), Throws.ArgumentException.With.Message.Contains("empty"));

    [Test]
    public void Train_OneVeryLongWord_IsDone()
    {
        // 200 thousand letters without a break: work that grew with the square of a word would not come to an end.
        var vocabulary = BpeTrainer.Train([new string('a', 200_000)], 265);
        Assert.That(Encoding.UTF8.GetString(vocabulary.Bytes(264)), Is.EqualTo(new string('a', 256)));
    }

    private sealed class TokenizerFolder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-bpe-");

        public TokenizerFolder(IEnumerable<string> documents, int size)
        {
            BpeTrainer.Train(documents, size).Write(File);
            Tokenizer = Tokenizer.Load(_folder.FullName);
        }

        public string File => Path.Combine(_folder.FullName, "tokenizer.json");

        public Tokenizer Tokenizer { get; }

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
