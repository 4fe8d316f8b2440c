using NativeSpec.Tests.Engine;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Tests;

public sealed class TokenizeCommandTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase("")]
    [TestCase(" the end\n")]
    [TestCase("\uFEFFmark\r\n\r\n")]
    [TestCase("naïve – 日本 🙂")]
    public async Task Json_TakesInputCharacterForCharacter(string text)
    {
        var json = (await Tokenize(CliRun.Utf8(text), "--json")).Json();

        var tokenizer = Tokenizer.Load(_folder.Path);
        Assert.That(json.Ints("ids"), Is.EqualTo(tokenizer.Encode(text)));
        Assert.That(json.GetProperty("pieces").EnumerateArray().Select(piece => piece.GetString()), Is.EqualTo(tokenizer.Encode(text).Select(tokenizer.TokenText)));
        Assert.That(json.Number("count"), Is.EqualTo(json.Ints("ids").Length));
    }

    [Test]
    public async Task NoSpecial_LeavesOutTheBeginOfTextToken()
    {
        var (with, without) = ((await Tokenize("a", "--json")).Json().Ints("ids"), (await Tokenize("a", "--no-special", "--json")).Json().Ints("ids"));

        Assert.That(without, Has.Length.EqualTo(1));
        Assert.That(with[1..], Is.EqualTo(without));
    }

    [Test]
    public async Task ParseSpecial_AloneMakesAControlTokenOfItsName()
    {
        var (plain, parsed) = (await Tokenize("<|end_of_text|>", "--json"), await Tokenize("<|end_of_text|>", "--parse-special", "--json"));

        Assert.That(plain.Json().Ints("ids"), Has.Length.GreaterThan(2));
        Assert.That(parsed.Json().Ints("ids"), Has.Length.EqualTo(2));
    }

    [Test]
    public async Task ForPeople_EachTokenIsALine()
        => Assert.That((await Tokenize("a\n", "--no-special")).Out, Is.EqualTo($"97\ta{Environment.NewLine}10\t\\n{Environment.NewLine}"));

    [Test]
    public async Task InputThatIsNoText_IsRefused()
    {
        var run = await Tokenize("\u00ff\u00fe", "--json");

        Assert.That((run.Code, run.Out), Is.EqualTo((1, "")));
        Assert.That(run.Error, Does.Contain("standard input is not UTF-8"));
    }

    [Test]
    public async Task Decode_GivesTheTextBack()
    {
        var ids = string.Join(',', (await Tokenize(CliRun.Utf8(" naïve\n"), "--no-special", "--json")).Json().Ints("ids"));

        Assert.That((await Tokenize("", "--decode", ids)).Out, Is.EqualTo(" naïve\n"));
        Assert.That((await Tokenize("", "--decode", ids, "--json")).Json().Text("text"), Is.EqualTo(" naïve\n"));
    }

    private Task<CliRun> Tokenize(string input, params string[] args) => CliRun.WithInput(input, ["tokenize", "--model", _folder.Path, .. args]);
}
