using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace NativeSpec.Tests;

/// <summary>A program beside the tests that listens on a free port, until it is ended.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;

    private ChildProcess(Process process, Uri address) => (_process, Address) = (process, address);

    public Uri Address { get; }

    /// <summary>Starts a program of the repository and waits for the line that says where it listens.</summary>
    /// <param name="project">Its project's folder, where it was built with the tests. The copy beside the tests lacks what their framework has.</param>
    /// <param name="arguments">Its arguments.</param>
    public static async Task<ChildProcess> StartAsync(string project, params string[] arguments)
    {
        var configuration = Path.GetFileName(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)))!;
        var program = Repository.Find([.. project.Split('/'), "bin", configuration, "net10.0", Path.GetFileName(project) + ".dll"]);
        var start = new ProcessStartInfo("dotnet", [program, .. arguments])
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        start.Environment["NATIVESPEC_PROFILE_DIR"] = "";
        var process = Process.Start(start)!;
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            while (await process.StandardOutput.ReadLineAsync(timeout.Token) is { } line)
            {
                if (Regex.Match(line, @"http://127\.0\.0\.1:\d+") is { Success: true, Value: var address })
                {
                    _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null, CancellationToken.None);
                    return new ChildProcess(process, new Uri(address));
                }
            }
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true); // nobody else knows of it
        }

        var error = await errors;
        process.Dispose();
        if (error.Contains("Microsoft.AspNetCore.App", StringComparison.Ordinal))
        {
            Assert.Ignore("the runtime of ASP.NET Core is not here");
        }

        throw new AssertionException($"{program} {(timeout.IsCancellationRequested ? "did not listen within two minutes" : "ended before it listened")}: {error}");
    }

    /// <summary>Tells it to end (SIGTERM), which it does in its own time; where there are signals.</summary>
    public async Task TerminateAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        return _process.ExitCode;
    }

    /// <summary>Ends it at once, whatever it is doing.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }

        _process.Dispose();
    }
}
