using NativeSpec.Tests;

namespace NativeSpec.Cli.Tests;

public sealed class ProfileCommandTests
{
    private const string Model = "stories260k";

    private string _folder = null!;

    [SetUp]
    public void MakeFolder()
    {
        _folder = Directory.CreateTempSubdirectory("nativespec-profile-").FullName;
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", Path.Combine(_folder, "kept"));
    }

    [TearDown]
    public void DeleteFolder()
    {
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", "");
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public async Task Show_BeforeAnythingWasMeasured_SaysThatThereIsNone()
    {
        Assert.That(await CliRun.Of("profile", "show"), Is.EqualTo(new CliRun(0, $"there is none in {Path.Combine(_folder, "kept")}{Environment.NewLine}", "")));
        Assert.That((await CliRun.Of("profile", "show", "--json")).Json().GetProperty("profiles").GetArrayLength(), Is.Zero);
    }

    [Test]
    public async Task ExportResetImport_AModelsProfile_BringBackWhatWasMeasured()
    {
        var (model, file) = (SharedFiles.Require("models", Model), Path.Combine(_folder, "exported.json"));
        string[] compute = ["--model", model, "--backend", "cpu", "--threads", "1"];
        Assert.That((await CliRun.Of(["profile", "export", .. compute, "--output", file])).Error, Does.Contain("there is no profile").And.Contain(model));
        Assert.That((await CliRun.Of(["generate", .. compute, "--prompt", "Once", "--max-tokens", "4"])).Code, Is.Zero);

        var shown = (await CliRun.Of(["profile", "show", .. compute, "--json"])).Json().GetProperty("profiles").EnumerateArray().Single();
        var profile = shown.GetProperty("profile");
        Assert.That(profile.Text("key"), Does.Contain("hidden 64"));
        Assert.That(profile.GetProperty("cost").Number("rounds"), Is.Positive);
        Assert.That((await CliRun.Of("profile", "show")).Out, Does.Contain(shown.Text("file")).And.Contain("1 node").And.Contain("context"));
        Assert.That((await CliRun.Of(["profile", "show", "--model", model, "--backend", "cpu", "--threads", "2"])).Out, Does.StartWith("there is none"), "the key says what computes");

        Assert.That((await CliRun.Of(["profile", "export", .. compute, "--output", file])).Out.Trim(), Is.EqualTo(file));
        Assert.That((await CliRun.Of(["profile", "reset", .. compute])).Out, Does.StartWith("removed " + shown.Text("file")));
        Assert.That((await CliRun.Of(["profile", "show", .. compute])).Out, Does.StartWith("there is none"));

        Assert.That((await CliRun.Of("profile", "import", file)).Out, Does.StartWith(shown.Text("file")));
        var again = (await CliRun.Of(["profile", "show", .. compute, "--json"])).Json().GetProperty("profiles").EnumerateArray().Single().GetProperty("profile");
        Assert.That(again.GetProperty("cost").ToString(), Is.EqualTo(profile.GetProperty("cost").ToString()));
        Assert.That((await CliRun.Of("profile", "reset", "--all")).Out, Does.StartWith("removed"));
    }

    [Test]
    public async Task Import_WhatIsNoProfile_IsRefusedByName()
    {
        var file = Path.Combine(_folder, "other.json");
        File.WriteAllText(file, """{"version":5,"key":"x"}""");
        Assert.That(await CliRun.Of("profile", "import", file), Has.Property("Code").EqualTo(1).And.Property("Error").Contains(file).And.Property("Error").Contains("version 6"));
        Assert.That(Directory.Exists(Path.Combine(_folder, "kept")), Is.False);
    }

    [Test]
    public async Task Reset_WithoutSayingWhich_IsAUsageError()
        => Assert.That(await CliRun.Of("profile", "reset"), Has.Property("Code").EqualTo(2).And.Property("Error").Contains("--all"));

    [Test]
    public async Task Show_WhereNoneAreKept_IsAUsageError()
    {
        Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", "");
        Assert.That(await CliRun.Of("profile", "show"), Has.Property("Code").EqualTo(2).And.Property("Error").Contains("NATIVESPEC_PROFILE_DIR"));
    }
}
