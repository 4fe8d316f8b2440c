using NativeSpec.Loading;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Tests.Corpus;

public sealed class CorpusFileTests
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"nativespec-corpus-{Guid.NewGuid():N}.txt");

    [TearDown]
    public void Delete() => File.Delete(_file);

    [Test]
    public void ReadDocuments_WhatWasWritten_IsThereAgain()
    {
        string[] documents = ["one\ntwo\n", "drei – 四\n"];
        var bytes = CorpusFile.Write(_file, documents);
        Assert.Multiple(() =>
        {
            Assert.That(CorpusFile.ReadDocuments(_file), Is.EqualTo(documents));
            Assert.That(bytes, Is.EqualTo(documents.Sum(System.Text.Encoding.UTF8.GetByteCount)));
        });
    }

    [Test]
    public void ReadDocuments_PlainText_IsOneDocument()
    {
        File.WriteAllText(_file, "a line\nand another");
        Assert.That(CorpusFile.ReadDocuments(_file), Is.EqualTo(new[] { "a line\nand another\n" }));
    }

    [TestCase("")]
    [TestCase("<|endoftext|>\n<|endoftext|>\n")]
    public void ReadDocuments_NothingInIt_Throws(string text)
    {
        File.WriteAllText(_file, text);
        Assert.That(() => CorpusFile.ReadDocuments(_file), Throws.TypeOf<ModelFormatException>().With.Message.Contains(_file).And.Message.Contains("no document"));
    }

    [Test]
    public void ReadDocuments_NoUtf8_Throws()
    {
        File.WriteAllBytes(_file, [0x61, 0xFF, 0x0A]);
        Assert.That(() => CorpusFile.ReadDocuments(_file), Throws.TypeOf<ModelFormatException>().With.Message.Contains("UTF-8"));
    }

    [Test]
    public void ReadDocuments_NoFile_Throws() => Assert.That(() => CorpusFile.ReadDocuments(_file), Throws.TypeOf<ModelFormatException>().With.Message.Contains(_file));

    [Test]
    public void Write_ThatFails_LeavesTheOldFileAndNothingElse()
    {
        File.WriteAllText(_file, "old");
        Assert.That(() => CorpusFile.Write(_file, Failing()), Throws.InvalidOperationException);
        Assert.Multiple(() =>
        {
            Assert.That(File.ReadAllText(_file), Is.EqualTo("old"));
            Assert.That(Directory.GetFiles(Path.GetDirectoryName(_file)!, $".{Path.GetFileName(_file)}*"), Is.Empty);
        });

        static IEnumerable<string> Failing()
        {
            yield return "new\n";
            throw new InvalidOperationException("the disk is full");
        }
    }

    [Test]
    public void Share_OfRuns_IsCountedWithinDocuments()
    {
        // Of the runs "a b", "b c" and "x y" only "a b" is known; "c x" stands across documents and is none.
        Assert.That(NGramOverlap.Share(["z a b\n"], ["a b c\n", "x y\n"], n: 2), Is.EqualTo(1.0 / 3).Within(1e-12));
    }

    [Test]
    public void Of_Documents_AreTheirBeginningsSpreadOverAll()
    {
        string[] documents = [.. Enumerable.Range(0, 9).Select(i => $"namespace N;\nA.B{i}(int x)\n/// <summary>S.</summary>\n/// <param name=\"x\">P.</param>\n"), "namespace N;\nA.C\n/// <summary>No parameter.</summary>\n"];
        Assert.That(PromptSet.Of(documents, 3), Is.EqualTo(new[] { "namespace N;\nA.B0(int x)\n", "namespace N;\nA.B3(int x)\n", "namespace N;\nA.B6(int x)\n" }));
        Assert.That(PromptSet.Of(documents, 100), Has.Count.EqualTo(9));
    }

    [Test]
    public void WritePrompts_AreLinesOfJson()
    {
        PromptSet.Write(_file, ["a\n<T> \"x\"\n", "b"]);
        Assert.That(File.ReadAllText(_file), Is.EqualTo("{\"prompt\":\"a\\n<T> \\\"x\\\"\\n\"}\n{\"prompt\":\"b\"}\n"));
    }
}
