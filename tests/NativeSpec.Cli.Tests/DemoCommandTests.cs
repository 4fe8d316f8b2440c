using System.Text;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

public sealed class DemoCommandTests
{
    private TestFolder _folder = null!;

    /// <summary>A model that is its own draft, so that what it drafts is accepted.</summary>
    [OneTimeSetUp]
    public void MakeFolder()
    {
        _folder = new TestFolder();
        var draft = Directory.CreateDirectory(Path.Combine(_folder.Path, "draft")).FullName;
        foreach (var file in Directory.GetFiles(_folder.Path))
        {
            File.Copy(file, Path.Combine(draft, Path.GetFileName(file)));
        }
    }

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task Demo_AsJson_HasTheTextTheSpeedsAndWhereTokensCameFrom()
    {
        var json = (await Demo("--json", "--repeats", "2")).Json();
        Assert.Multiple(() =>
        {
            Assert.That(json.GetProperty("same_text").GetBoolean());
            Assert.That(json.GetProperty("ratios").GetArrayLength(), Is.EqualTo(2));
            Assert.That(json.Number("ratio"), Is.GreaterThan(0));
            Assert.That(json.GetProperty("pieces").GetArrayLength(), Is.EqualTo(json.Number("tokens")));
        });
    }

    [Test]
    public async Task Demo_ForPeople_ShowsBothTextsAndSaysThatTheyAreTheSame()
    {
        var json = (await Demo("--json", "--repeats", "1")).Json();
        var run = await Demo("--repeats", "1");
        Assert.That(run.Code, Is.Zero, run.Error);
        var text = json.Text("text").TrimEnd();
        Assert.That(run.Out.Split("hello" + text), Has.Length.EqualTo(3), "the prompt and its text, twice");
        Assert.That(run.Out, Does.Contain("The same text, token for token: 24 tokens").And.Contains("tokens: the model itself").And.Not.Contains('\u001B'));
    }

    [Test]
    public async Task Of_EverythingDrafted_EachTokenIsTheDraftsOrTheModels()
    {
        var request = new GenerationOptions { MaxTokens = 24, Temperature = 0, Speculation = new() { Drafters = ["draft"], Unplanned = true } };
        var run = await DemoRun.OfAsync(DemoModel.Find(_folder.Path), new EngineOptions { ProfileDirectory = null }, "hello", request, 1, CancellationToken.None);
        var stats = run.Speculative.Speculation;
        Assert.Multiple(() =>
        {
            Assert.That(run.IsSameText);
            Assert.That(run.Sources.Count(source => source == "draft"), Is.EqualTo(stats.Accepted).And.GreaterThan(0));
            Assert.That(run.Sources.Count(source => source is null), Is.EqualTo(1 + stats.Rounds), "the prompt's token and one a round");
            Assert.That(string.Concat(run.Texts), Is.EqualTo(run.Plain.Text));
        });
    }

    [Test]
    public async Task Print_ToATerminal_ColoursWhatWasDrafted()
    {
        var request = new GenerationOptions { MaxTokens = 12, Temperature = 0, Speculation = new() { Drafters = ["draft"], Unplanned = true } };
        var model = DemoModel.Find(_folder.Path);
        var run = await DemoRun.OfAsync(model, new EngineOptions { ProfileDirectory = null }, "hello", request, 1, CancellationToken.None);
        using StringWriter output = new(), error = new();
        DemoReport.Print(new() { OpenInput = () => Stream.Null, Out = output, Error = error, IsOutRedirected = false, IsErrorRedirected = false }, model, "hello", run);
        Assert.That(output.ToString(), Does.Contain("\u001B[32m").Or.Contains("\u001B[38"), "green");
    }

    [Test]
    public void Read_ATrace_NamesTheFirstProposerOfEachAcceptedToken()
    {
        var trace = """
            {"nodes":[{"depth":0,"accepted":true,"drafters":[]},{"depth":1,"accepted":true,"drafters":[{"name":"draft"},{"name":"lookup"}]},{"depth":1,"accepted":false,"drafters":[{"name":"medusa"}]},{"depth":2,"accepted":true,"drafters":[{"name":"medusa"}]}],"emitted":[5,6,7]}
            {"nodes":[{"depth":0,"accepted":true,"drafters":[]}],"emitted":[8]}

            """;
        Assert.That(TokenSources.Read(Encoding.UTF8.GetBytes(trace), 5), Is.EqualTo(new[] { null, "draft", "medusa", null, null }));
    }

    [Test]
    public async Task Demo_NoSuchModel_SaysWhichFolder()
    {
        var run = await CliRun.Of("demo", "--model", "/nowhere/at/all");
        Assert.That((run.Code, run.Out), Is.EqualTo((1, "")));
        Assert.That(run.Error, Does.Contain("/nowhere/at/all"));
    }

    [TestCase("--repeats", "0")]
    [TestCase("--max-tokens", "1")]
    [TestCase("--max-nodes", "0")]
    public async Task Demo_NumbersThatMakeNoSense_AreAWrongCommandLine(string option, string value)
        => Assert.That((await Demo(option, value)).Code, Is.EqualTo(2));

    private Task<CliRun> Demo(params string[] args) => CliRun.Of(["demo", "--model", _folder.Path, "--prompt", "hello", "--max-tokens", "24", .. args]);
}
