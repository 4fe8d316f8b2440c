namespace NativeSpec.Cli.Tests;

public sealed class CommandLineTests
{
    [Test]
    public async Task NoArguments_PrintTheHelp()
    {
        var run = await CliRun.Of();

        Assert.That(run.Code, Is.Zero);
        Assert.That(run.Out, Does.Contain("nativespec [command]").And.Contain("generate").And.Contain("tokenize"));
    }

    [Test]
    public async Task Help_OfACommand_ShowsOptionsAndExamples()
    {
        var run = await CliRun.Of("generate", "--help");

        Assert.That(run.Code, Is.Zero);
        Assert.That(run.Out, Does.Contain("--max-tokens").And.Contain("Examples:").And.Contain("nativespec generate --model"));
    }

    [Test]
    public async Task Version_IsOneLine() => Assert.That((await CliRun.Of("--version")).Out.TrimEnd(), Does.Match(@"^nativespec \d+\.\d+\.\d+$"));

    [TestCase("sing")]
    [TestCase("generate", "--model", "x")]
    [TestCase("generate", "--prompt", "x")]
    [TestCase("generate", "--model", "x", "--prompt", "x", "--ids", "1")]
    [TestCase("generate", "--model", "x", "--ids", "1,,2")]
    [TestCase("generate", "--model", "x", "--prompt", "x", "--max-tokens", "many")]
    [TestCase("generate", "--model", "x", "--prompt", "x", "--max-tokens", "0")]
    [TestCase("generate", "--model", "x", "--prompt", "x", "--temperature", "-1")]
    [TestCase("generate", "--model", "x", "--prompt", "x", "--logprobs", "3")]
    [TestCase("inspect", "--model", "x", "--top", "3")]
    [TestCase("inspect", "--model", "x", "--ids", "1", "--context", "3")]
    [TestCase("eval", "--model", "x")]
    [TestCase("bench", "decode", "--shape", "9b")]
    public async Task AWrongCommandLine_IsOneLineAndCode2(params string[] args)
    {
        var run = await CliRun.Of(args);

        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Out, Is.Empty);
        Assert.That(run.Error.TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(run.Error, Does.StartWith("nativespec: "));
    }

    [TestCase("generate", "--prompt", "x")]
    [TestCase("inspect")]
    [TestCase("inspect", "--ids", "1")]
    [TestCase("tokenize")]
    public async Task AMissingModel_IsTheLibrarysLineAndCode1(params string[] args)
    {
        var run = await CliRun.Of([.. args, "--model", "no/such/folder"]);

        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Out, Is.Empty);
        Assert.That(run.Error.TrimEnd().Split('\n'), Has.Length.EqualTo(1));
        Assert.That(run.Error, Does.Contain("no/such/folder"));
    }

    [Test]
    public async Task Verbose_ShowsWhereTheErrorCameFrom()
        => Assert.That((await CliRun.Of("inspect", "--model", "no/such/folder", "--verbose")).Error, Does.Contain("   at NativeSpec."));
}
