using NativeSpec.Tests.Engine;
namespace NativeSpec.Cli.Tests;

public sealed class GenerateCommandTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task Json_HoldsTheWholeResult()
    {
        var json = (await Generate("--ids", "72,101,108", "--max-tokens", "9", "--seed", "5", "--json")).Json();

        Assert.That(json.Ints("ids"), Has.Length.EqualTo(9));
        Assert.That(json.Text("finish_reason"), Is.EqualTo("length"));
        Assert.That(json.Number("seed"), Is.EqualTo(5));
        Assert.That(json.Number("sampler_version"), Is.EqualTo(2));
        var usage = json.GetProperty("usage");
        Assert.That((usage.Number("prompt_tokens"), usage.Number("completion_tokens"), usage.Number("total_tokens")), Is.EqualTo((3, 9, 12)));
        Assert.That(json.GetProperty("timings").Number("predicted_n"), Is.EqualTo(9));
        Assert.That(json.GetProperty("timings").Number("predicted_per_second"), Is.Positive);
        Assert.That(json.Text("backend"), Does.StartWith("cpu: ").Or.StartWith("native: "));
    }

    [Test]
    public async Task Streamed_PrintsTheTextOfTheJsonAndALineBreak()
    {
        string[] args = ["--prompt", "Hello", "--max-tokens", "40", "--temperature", "1.5", "--seed", "3"];

        var (streamed, json) = (await Generate(args), (await Generate([.. args, "--json"])).Json());

        Assert.That(json.Text("text"), Is.Not.Empty);
        Assert.That(streamed.Out, Is.EqualTo(json.Text("text") + Environment.NewLine));
    }

    [Test]
    public async Task PromptFile_IsReadCharacterForCharacter()
    {
        const string Prompt = "  @zwei Zeilen\n– ü\n";
        var file = Path.Combine(_folder.Path, "prompt.txt");
        File.WriteAllText(file, Prompt);

        var direct = (await Generate("--prompt", Prompt, "--max-tokens", "4", "--json")).Json();
        var fromFile = (await Generate("--prompt-file", file, "--max-tokens", "4", "--json")).Json();
        var fromInput = (await CliRun.WithInput(CliRun.Utf8(Prompt), "generate", "--model", _folder.Path, "--prompt-file", "-", "--max-tokens", "4", "--json")).Json();

        Assert.That(fromFile.GetProperty("usage").Number("prompt_tokens"), Is.EqualTo(direct.GetProperty("usage").Number("prompt_tokens")));
        Assert.That(fromFile.Ints("ids"), Is.EqualTo(direct.Ints("ids")));
        Assert.That(fromInput.Ints("ids"), Is.EqualTo(direct.Ints("ids")));
    }

    [Test]
    public async Task ParseSpecial_ReadsTheNameOfASpecialTokenAsTheToken()
    {
        string[] args = ["--prompt", "a<|end_of_text|>", "--max-tokens", "1", "--json"];
        var (plain, parsed) = ((await Generate(args)).Json(), (await Generate([.. args, "--parse-special"])).Json());
        Assert.That(parsed.GetProperty("usage").Number("prompt_tokens"), Is.EqualTo(3), "with the token that begins a text");
        Assert.That(plain.GetProperty("usage").Number("prompt_tokens"), Is.GreaterThan(3));
        Assert.That((await Generate("--ids", "72", "--parse-special")).Error, Does.Contain("--parse-special"));
    }

    [Test]
    public async Task AtSignPrompt_IsNotTakenForAFile()
        => Assert.That((await Generate("--prompt", "@" + Path.Combine(_folder.Path, "config.json"), "--max-tokens", "1", "--json")).Json().Text("finish_reason"), Is.EqualTo("length"));

    [Test]
    public async Task Stop_EndsBeforeTheTextAndIsNamed()
    {
        string[] args = ["--prompt", "Hello", "--max-tokens", "60", "--temperature", "1", "--seed", "9", "--json"];
        var whole = (await Generate(args)).Json().Text("text");
        var stop = whole.Substring(whole.Length / 2, 2);

        var json = (await Generate([.. args, "--stop", "never seen", "--stop", stop])).Json();

        Assert.That(json.Text("finish_reason"), Is.EqualTo("stop"));
        Assert.That(json.Text("stop_string"), Is.EqualTo(stop));
        Assert.That(json.Text("text"), Is.EqualTo(whole[..whole.IndexOf(stop, StringComparison.Ordinal)]));
    }

    [Test]
    public async Task LogProbs_ComeWithEachTokenMostLikelyFirst()
    {
        var json = (await Generate("--prompt", "Hello", "--max-tokens", "3", "--temperature", "0", "--logprobs", "2", "--json")).Json();

        var tokens = json.GetProperty("logprobs").EnumerateArray().ToArray();
        Assert.That(tokens.Select(token => (int)token.Number("id")), Is.EqualTo(json.Ints("ids")));
        foreach (var token in tokens)
        {
            var top = token.GetProperty("top").EnumerateArray().ToArray();
            Assert.That(top, Has.Length.EqualTo(2));
            Assert.That(top[0].Number("id"), Is.EqualTo(token.Number("id")), "greedy");
            Assert.That(top[0].Number("logprob"), Is.GreaterThan(top[1].Number("logprob")).And.LessThanOrEqualTo(0));
        }
    }

    [Test]
    public async Task APromptLongerThanTheContext_IsRefusedWithTheNumbers()
    {
        var run = await Generate("--ids", "1,2,3,4,5,6,7,8", "--context", "8");

        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Error, Does.Contain("8 tokens").And.Not.Contain("Parameter"));
    }

    [Test]
    public async Task Cancelled_EndsWithCode130AndKeepsWhatWasPrinted()
    {
        using var cancellation = new CancellationTokenSource();
        using var output = new CancelAfterWrites(cancellation, writes: 5);
        var terminal = new Terminal { OpenInput = () => Stream.Null, Out = output, Error = TextWriter.Null, IsOutRedirected = true, IsErrorRedirected = true };

        var code = await CommandLine.RunAsync(["generate", "--model", _folder.Path, "--prompt", "Hello", "--ignore-eos", "--temperature", "1.5"], terminal, cancellation.Token);

        Assert.That(code, Is.EqualTo(130));
        Assert.That(output.ToString(), Is.Not.Empty);
    }

    [TestCase("stories260k")]
    [TestCase("stories-xs")]
    [TestCase("shakespeare-2m")]
    public async Task RealCheckpoint_GreedyFromIds_WritesTheExpectedIds(string name)
    {
        var (folder, expected) = (SharedModels.Folder(name), SharedModels.Expected(name));
        var greedy = expected.Ints("greedy_ids");

        var json = (await CliRun.Of("generate", "--model", folder, "--ids", string.Join(',', expected.Ints("prompt_ids")), "--max-tokens", $"{greedy.Length}", "--temperature", "0", "--json")).Json();

        Assert.That(json.Ints("ids"), Is.EqualTo(greedy));
        Assert.That(json.Text("model"), Is.EqualTo(name));
    }

    private Task<CliRun> Generate(params string[] args) => CliRun.Of(["generate", "--model", _folder.Path, .. args]);

    /// <summary>Somebody who presses Ctrl+C after a few pieces of text.</summary>
    private sealed class CancelAfterWrites(CancellationTokenSource cancellation, int writes) : StringWriter
    {
        private int _left = writes;

        public override void Write(string? value)
        {
            base.Write(value);
            if (--_left == 0)
            {
                cancellation.Cancel();
            }
        }
    }
}
