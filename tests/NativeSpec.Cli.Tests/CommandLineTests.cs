namespace NativeSpec.Cli.Tests;

public sealed class CommandLineTests
{
    /// <summary>A command is made only where its name is asked for, so the name it is asked by has to be its own.</summary>
    [Test]
    public void Commands_AreAskedForByTheirNames()
    {
        var terminal = new Terminal { OpenInput = () => Stream.Null, Out = TextWriter.Null, Error = TextWriter.Null, IsOutRedirected = true, IsErrorRedirected = true };
        Assert.That(CommandLine.Commands.Select(command => command.Make(terminal).Name), Is.EqualTo(CommandLine.Commands.Select(command => command.Name)));
    }

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

    [TestCase("0,8", "generate", "--model", "x", "--prompt", "x", "--temperature", "0,8")]
    [TestCase("1,1", "generate", "--model", "x", "--prompt", "x", "--repetition-penalty", "1,1")]
    [TestCase("1.000,5", "generate", "--model", "x", "--prompt", "x", "--presence-penalty", "1.000,5")]
    [TestCase("1,000", "generate", "--model", "x", "--prompt", "x", "--max-tokens", "1,000")]
    [TestCase("1.0", "generate", "--model", "x", "--prompt", "x", "--top-k", "1.0")]
    [TestCase("1e3", "generate", "--model", "x", "--prompt", "x", "--seed", "1e3")]
    [TestCase("-1", "generate", "--model", "x", "--prompt", "x", "--seed", "-1")]
    [TestCase("0x10", "inspect", "--model", "x", "--context", "0x10")]
    [TestCase("99999999999", "inspect", "--model", "x", "--context", "99999999999")]
    [TestCase("0.5f", "eval", "--model", "x", "--text-file", "y", "--context", "0.5f")]
    [TestCase("NaN", "generate", "--model", "x", "--prompt", "x", "--temperature", "NaN")]
    [TestCase("1e99", "generate", "--model", "x", "--prompt", "x", "--min-p", "1e99")]
    [TestCase("2,5e-4", "train", "model", "--corpus", "x", "--tokenizer", "z", "--output", "y", "--learning-rate", "2,5e-4")]
    [TestCase("(1)", "bench", "speculation", "--model", "x", "--prompts", "y", "--temperature", "(1)")]
    public async Task ANumberThatIsNone_IsRepeatedAsItWasTyped(string typed, params string[] args)
    {
        var run = await CliRun.Of(args);

        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error, Does.Contain($"'{typed}' is no").And.Contain(args[^2]));
    }

    [TestCase("generate", "--prompt", "x", "--temperature", "8e-1", "--min-p", ".5", "--top-p", "+0.9", "--presence-penalty", "-0.25", "--seed", "18446744073709551615")]
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
