namespace NativeSpec.Cli.Tests;

public sealed class QuantizeCommandTests
{
    private string _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("nativespec-quantize-").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task Quantize_ThenInspect_GivesTheLogitsOfPackingWhileLoading()
    {
        var (model, packed) = (SharedModels.Folder("stories260k"), Path.Combine(_folder, "packed"));
        Assume.That((await CliRun.Of("inspect", "--model", model, "--ids", "1", "--backend", "native")).Code, Is.Zero);

        var written = (await CliRun.Of("quantize", "--model", model, "--weights", "q8", "--output", packed, "--json")).Json();

        Assert.That(written.Number("bytes"), Is.LessThan(written.Number("bytes_before")));
        Assert.That((await CliRun.Of("inspect", "--model", packed, "--json")).Json().Text("weights"), Is.EqualTo("q8"));
        var here = (await CliRun.Of("inspect", "--model", packed, "--ids", "1,403,407", "--logits", "512", "--json")).Json();
        var there = (await CliRun.Of("inspect", "--model", model, "--weights", "q8", "--ids", "1,403,407", "--logits", "512", "--json")).Json();
        Assert.That(here.GetProperty("logits").GetRawText(), Is.EqualTo(there.GetProperty("logits").GetRawText()));
    }

    [Test]
    public async Task Quantize_OverAnotherFolder_Fails()
    {
        File.WriteAllText(Path.Combine(_folder, "mine"), "");
        var run = await CliRun.Of("quantize", "--model", _folder, "--weights", "q8", "--output", _folder);
        Assert.That(run.Code, Is.EqualTo(CommandLine.Failure));
        Assert.That(run.Error, Does.Contain("there already"));
    }

    [Test]
    public async Task Eval_Compare_SaysHowMuchWorsePackedWeightsAre()
    {
        var model = SharedModels.Folder("stories260k");
        Assume.That((await CliRun.Of("inspect", "--model", model, "--ids", "1", "--backend", "native")).Code, Is.Zero);

        var run = (await CliRun.WithInput("Once upon a time, there was a little girl named Lily.", "eval", "--model", model, "--text-file", "-", "--weights", "q4", "--compare", "--json")).Json();

        Assert.That(run.Number("over_stored"), Is.EqualTo((run.Number("nats_per_token") / run.Number("stored_nats_per_token")) - 1).Within(1e-9));
        Assert.That((await CliRun.Of("eval", "--model", model, "--text-file", "-", "--compare")).Code, Is.EqualTo(CommandLine.Usage));
    }
}
