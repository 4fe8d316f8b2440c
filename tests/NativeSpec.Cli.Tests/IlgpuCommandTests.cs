using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

/// <summary>The back end of another package by its name.</summary>
public sealed class IlgpuCommandTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder(poisoned: false);

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase("cpu")]
    [TestCase(null)]
    public async Task Generate_OnIlgpu_WritesTheManagedIds(string? device)
    {
        string[] named = device is null ? [] : ["--device", device];
        var json = (await Generate(["--backend", "ilgpu", .. named])).Json();
        Assert.That(json.Text("backend"), Does.StartWith("ilgpu: "));
        Assert.That(json.Ints("ids"), Is.EqualTo((await Generate("--backend", "cpu")).Json().Ints("ids")));
    }

    [Test]
    public async Task Generate_OnADeviceThatIsNotThere_SaysWhichAre()
    {
        var run = await Generate("--backend", "ilgpu", "--device", "a device of another world");
        Assert.That(run.Code, Is.Not.Zero);
        Assert.That(run.Error, Does.Contain("'a device of another world'").And.Contain("cpu, "));
    }

    [Test]
    public async Task Generate_OnCudaWithTheNameOfADevice_AsksForItsNumber()
    {
        var run = await Generate("--backend", "cuda", "--device", "opencl");
        Assert.That(run.Code, Is.Not.Zero);
        Assert.That(run.Error, Does.Contain("'opencl'").And.Contain("number"));
    }

    private Task<CliRun> Generate(params string[] args)
        => CliRun.Of(["generate", "--model", _folder.Path, "--ids", "72,101,108", "--max-tokens", "6", "--temperature", "0", "--json", .. args]);
}
