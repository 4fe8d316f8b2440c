namespace NativeSpec.Cli.Tests;

public sealed class TrainCommandTests
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-train-");

    [OneTimeTearDown]
    public void Delete() => _folder.Delete(recursive: true);

    [Test]
    public async Task Corpus_ThenTokenizer_WriteFilesThatTheNextCommandReads()
    {
        var packs = Packs("packs");
        var output = In("corpus");
        var corpus = (await CliRun.Of("train", "corpus", "--packs", packs, "--output", output, "--held-out", "N.Held", "--json")).Json();
        var file = Path.Combine(output, "tokenizer.json");
        var tokenizer = (await CliRun.Of("train", "tokenizer", "--corpus", output, "--vocabulary", "280", "--output", file, "--json")).Json();
        var counted = (await CliRun.Of("train", "corpus", "--packs", packs, "--output", output, "--held-out", "N.Held", "--tokenizer", file, "--json")).Json();
        Assert.Multiple(() =>
        {
            Assert.That((corpus.Number("members"), corpus.Number("distinct")), Is.EqualTo((3, 2)));
            Assert.That(File.ReadAllText(Path.Combine(output, "heldout.txt")), Is.EqualTo("namespace N.Held;\nB.Size\n/// <summary>Gets the size of the other thing.</summary>\n<|endoftext|>\n"));
            Assert.That(tokenizer.Number("vocabulary"), Is.EqualTo(280));
            Assert.That(counted.GetProperty("train").Number("tokens"), Is.EqualTo(tokenizer.GetProperty("train").Number("tokens")).And.GreaterThan(0));
        });
    }

    [Test]
    public async Task Corpus_ForPeople_SaysHowMuchThereIs()
    {
        var run = await CliRun.Of("train", "corpus", "--packs", Packs("people"), "--output", In("people-corpus"), "--held-out", "N.Held");
        Assert.That(run.Out, Does.Contain("3 members in 1 files, 2 with distinct comments").And.Contains("runs of 8 words"));
    }

    [Test]
    public async Task Corpus_NoPacks_SaysWhereItLooked()
    {
        var run = await CliRun.Of("train", "corpus", "--packs", In("nothing"), "--output", In("out"));
        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain(In("nothing")).And.Contains("--packs"));
    }

    [Test]
    public async Task Tokenizer_VocabularyTooSmall_IsAWrongCommandLine()
    {
        var run = await CliRun.Of("train", "tokenizer", "--corpus", In("x"), "--vocabulary", "256", "--output", In("t.json"));
        Assert.That((run.Code, run.Error), Is.EqualTo((2, "nativespec: --vocabulary is 256; expected 257 to 262144\n")));
    }

    [Test]
    public async Task Tokenizer_EmptyCorpus_LeavesTheOldTokenizer()
    {
        var (corpus, output) = (In("empty.txt"), In("old.json"));
        await File.WriteAllTextAsync(corpus, "");
        await File.WriteAllTextAsync(output, "old");
        var run = await CliRun.Of("train", "tokenizer", "--corpus", corpus, "--output", output);
        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain(corpus).And.Contains("no document"));
        Assert.That(await File.ReadAllTextAsync(output), Is.EqualTo("old"));
    }

    [Test]
    public async Task Tokenizer_CorpusTooSmallForTheVocabulary_SaysWhatItHas()
    {
        var corpus = In("small.txt");
        await File.WriteAllTextAsync(corpus, "abc");
        var run = await CliRun.Of("train", "tokenizer", "--corpus", corpus, "--output", In("small.json"));
        Assert.That((run.Code, File.Exists(In("small.json"))), Is.EqualTo((1, false)));
        Assert.That(run.Error, Does.Contain("259 tokens only"));
    }

    private string In(string name) => Path.Combine(_folder.FullName, name);

    private string Packs(string name)
    {
        var references = Path.Combine(In(name), "Microsoft.NETCore.App.Ref", "10.0.0", "ref", "net10.0");
        Directory.CreateDirectory(references);
        File.WriteAllText(Path.Combine(references, "N.xml"), """
            <doc><members>
              <member name="P:N.A.Size"><summary>Gets the size of the thing.</summary></member>
              <member name="P:N.C.Size"><summary>Gets the size of the thing.</summary></member>
              <member name="P:N.Held.B.Size"><summary>Gets the size of the other thing.</summary></member>
            </members></doc>
            """);
        return In(name);
    }
}
