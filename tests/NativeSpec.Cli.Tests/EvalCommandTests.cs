using NativeSpec.Engine;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

public sealed class EvalCommandTests
{
    private const string Text = "A text that is a little longer than one window of forty tokens, so that windows overlap.\n";

    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task Json_HoldsTheScoreOfTheLibrary()
    {
        var json = (await CliRun.WithInput(Text, "eval", "--model", _folder.Path, "--text-file", "-", "--context", "40", "--json")).Json();

        using var evaluation = TextEvaluation.Load(_folder.Path, new EngineOptions { MaxContext = 40 });
        var score = evaluation.Score(Text);
        Assert.That(json.Number("tokens"), Is.EqualTo(score.Tokens));
        Assert.That(json.Number("bytes"), Is.EqualTo(Text.Length));
        Assert.That(json.Number("nats_per_token"), Is.EqualTo(score.NatsPerToken));
        Assert.That(json.Number("bits_per_byte"), Is.EqualTo(score.BitsPerByte));
        Assert.That(json.Number("perplexity"), Is.EqualTo(Math.Exp(json.Number("nats_per_token"))).Within(1e-5).Percent);
    }

    [Test]
    public async Task AFileThatIsMissing_IsOneLineAndCode1()
    {
        var run = await CliRun.Of("eval", "--model", _folder.Path, "--text-file", "no/such/file.txt");

        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain("no/such/file.txt"));
    }

    [Test]
    public async Task AnEmptyText_IsRefused()
    {
        var run = await CliRun.Of("eval", "--model", _folder.Path, "--text-file", "-");

        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain("no token"));
    }
}
