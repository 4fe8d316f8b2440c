using System.Diagnostics;

namespace NativeSpec.Cli.Tests;

/// <summary>The command in a process that finds no native library.</summary>
public sealed class NoNativeLibraryTests
{
    [Test]
    public async Task Inspect_WithoutANativeLibrary_ComputesWithTheManagedKernelsAndSaysSoInOneLine()
    {
        var model = SharedModels.Folder("stories260k");
        var run = await RunAsync("inspect", "--model", model, "--ids", "1,403", "--json", "--verbose");

        Assert.That((run with { Error = "" }).Json().Text("backend"), Does.StartWith("cpu: managed kernels"));
        Assert.That(run.Error.TrimEnd(), Is.EqualTo("nativespec: no native library could be loaded from 'nowhere' (NATIVESPEC_NATIVE_LIBRARY); the managed kernels serve"));
    }

    [TestCase("--weights", "q8")]
    [TestCase("--backend", "native")]
    public async Task Inspect_WhatOnlyTheNativeKernelsCan_FailsAndSaysWhy(string option, string value)
    {
        var run = await RunAsync("inspect", "--model", SharedModels.Folder("stories260k"), "--ids", "1", option, value);

        Assert.That(run.Code, Is.EqualTo(CommandLine.Failure));
        Assert.That(run.Error.TrimEnd(), Does.Contain(value).And.Contain("nowhere").And.Not.Contain("\n"));
    }

    private static async Task<CliRun> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(CommandLine).Assembly.Location, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["NATIVESPEC_NATIVE_LIBRARY"] = "nowhere";
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return new CliRun(process.ExitCode, await output, await error);
    }
}
