using NativeSpec.Training.Corpus;

namespace NativeSpec.Cli.Tests;

/// <summary>From a text to a model, its draft and its heads, with the command alone.</summary>
public sealed class TrainModelCommandTests
{
    private static readonly string[] Short = ["--steps", "8", "--context", "32", "--sequences", "2", "--warmup", "2", "--evaluate-every", "4"];
    private static readonly string[] Small = ["--hidden", "16", "--layers", "1", "--heads", "2", "--kv-heads", "1", "--intermediate", "24"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-train-model-");

    private string Corpus => In("corpus");

    private string Tokenizer => In("corpus/tokenizer.json");

    private string Model => In("model");

    [OneTimeSetUp]
    public async Task Prepare()
    {
        CorpusFile.Write(In("corpus/train.txt"), Documents(1, 200));
        CorpusFile.Write(In("corpus/heldout.txt"), Documents(2, 30));
        Assert.That((await CliRun.Of("train", "tokenizer", "--corpus", Corpus, "--vocabulary", "280", "--output", Tokenizer)).Code, Is.EqualTo(0));
        var run = await CliRun.Of(["train", "model", "--corpus", Corpus, "--tokenizer", Tokenizer, "--output", Model, .. Short, .. Small]);
        Assert.That(run.Code, Is.EqualTo(0), run.Error);
        Assert.That(run.Out, Does.Contain("numbers learnt in 8 steps").And.Contains("next token").And.Contains("of the matmul peak"));
    }

    [OneTimeTearDown]
    public void Delete() => _folder.Delete(recursive: true);

    [Test]
    public async Task Model_Written_IsOneThatGenerates()
    {
        var run = await CliRun.Of("generate", "--model", Model, "--prompt", "Gets", "--max-tokens", "4", "--json");
        Assert.That(run.Code, Is.EqualTo(0), run.Error);
    }

    [Test]
    public async Task Draft_ForTheModel_SaysHowOftenItAgrees()
    {
        var run = (await CliRun.Of(["train", "draft", "--target", Model, "--corpus", Corpus, "--output", In("draft"), "--json", .. Short, .. Small])).Json();
        Assert.That(run.GetProperty("held_out")[0].GetProperty("name").GetString(), Is.EqualTo("agreement with the target"));
        Assert.That(run.GetProperty("held_out")[0].GetProperty("accuracy").GetDouble(), Is.InRange(0, 1));
    }

    [Test]
    public async Task Medusa_OnTheModel_SaysHowGoodEachHeadIs()
    {
        var run = (await CliRun.Of(
            ["train", "medusa", "--target", Model, "--corpus", Corpus, "--output", In("heads"), "--medusa-heads", "2", "--json", .. Short])).Json();
        Assert.That(run.GetProperty("held_out").EnumerateArray().Select(measured => measured.GetProperty("name").GetString()), Is.EqualTo(new[]
        {
            "heads, weighted", "head 0 (token t + 2)", "head 1 (token t + 3)", "model (token t + 1)",
        }));
        Assert.That((await CliRun.Of("inspect", "--model", Model)).Code, Is.EqualTo(0));
    }

    [Test]
    public async Task Model_OverAnotherRun_SaysHowToGoOn()
    {
        var run = await CliRun.Of(["train", "model", "--corpus", Corpus, "--tokenizer", Tokenizer, "--output", Model, .. Short, .. Small]);
        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain("--resume"));
    }

    [Test]
    public async Task Model_HeadsThatDoNotDivideTheWidth_IsAWrongCommandLine()
    {
        var run = await CliRun.Of("train", "model", "--corpus", Corpus, "--tokenizer", Tokenizer, "--output", In("x"), "--hidden", "20", "--heads", "3");
        Assert.That((run.Code, run.Error), Is.EqualTo((2, "nativespec: --hidden is 20 and --heads 3; expected a width that the heads divide\n")));
    }

    private static IEnumerable<string> Documents(int seed, int count)
    {
        var random = new Random(seed);
        string[] verbs = ["Gets", "Sets", "Removes", "Returns"], things = ["the name of the file", "the first entry", "the length of the text", "the current value"];
        return Enumerable.Range(0, count).Select(_ => $"{verbs[random.Next(4)]} {things[random.Next(4)]} of this instance.\n");
    }

    private string In(string name) => Path.Combine(_folder.FullName, name);
}
