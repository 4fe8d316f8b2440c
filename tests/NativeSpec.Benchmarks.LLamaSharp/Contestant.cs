using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>An engine in a process of its own: this program once more, which writes what it has measured as a line of JSON.</summary>
internal static class Contestant
{
    /// <summary>The option that makes a process a contestant, with the name of the engine.</summary>
    public const string Option = "--contestant";

    private const string Ours = "ours", Theirs = "theirs";

    /// <summary>What a contestant's process does.</summary>
    /// <param name="engine">Which engine.</param>
    /// <param name="options">Its race, as <see cref="RunAsync"/> has written it.</param>
    public static async Task<int> MainAsync(string engine, string options)
    {
        var race = JsonSerializer.Deserialize<RaceOptions>(options)!;
        var result = engine == Ours ? await OurRace.RunAsync(race) : TheirRace.Run(race);
        Console.WriteLine(JsonSerializer.Serialize(result));
        return 0;
    }

    /// <summary>Has an engine race, and waits.</summary>
    /// <param name="ours">Whether it is ours.</param>
    /// <param name="options">The race.</param>
    /// <param name="cancellationToken">Ends the process.</param>
    /// <exception cref="InvalidOperationException">The process failed: the message says with what.</exception>
    public static async Task<Race> RunAsync(bool ours, RaceOptions options, CancellationToken cancellationToken)
    {
        var host = Environment.ProcessPath!; // dotnet, or the program's own
        string[] program = Path.GetFileNameWithoutExtension(host) == "dotnet" ? [typeof(Contestant).Assembly.Location] : [];
        var start = new ProcessStartInfo(host, [.. program, Option, ours ? Ours : Theirs, JsonSerializer.Serialize(options)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (!ours && OperatingSystem.IsLinux())
        {
            start.Environment.TryGetValue("LD_LIBRARY_PATH", out var others);
            start.Environment["LD_LIBRARY_PATH"] = string.IsNullOrEmpty(others) ? NativeFolder() : $"{NativeFolder()}:{others}"; // where its libraries look for each other
        }

        using var process = Process.Start(start)!;
        try
        {
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
            await process.WaitForExitAsync(cancellationToken);
            return process.ExitCode == 0 ? JsonSerializer.Deserialize<Race>(await output)!
                : throw new InvalidOperationException($"{(ours ? "NativeSpec" : "LLamaSharp")} ended with exit code {process.ExitCode}: {(await errors).Trim()}");
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    /// <summary>The package's folder for this processor, by the rule that LLamaSharp chooses with.</summary>
    public static string NativeFolder()
    {
        var level = Vector512.IsHardwareAccelerated ? "avx512" : Avx2.IsSupported ? "avx2" : Avx.IsSupported ? "avx" : "noavx";
        var machine = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? Path.Combine("linux-x64", "native", level) : Path.Combine("linux-arm64", "native");
        return Path.Combine(AppContext.BaseDirectory, "runtimes", machine);
    }
}
