using System.Diagnostics;
using System.Text.RegularExpressions;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Cli.Tests;

/// <summary>A disk that is full in the middle of a checkpoint. A limit on the size of files stands in for it: what lies below the limit is
/// written, then the system refuses.</summary>
[Platform(Include = "Linux")]
public sealed partial class TrainFullDiskTests
{
    private const int LimitUnit = 1024; // of bash's ulimit -f

    private static readonly string[] Run =
    [
        "--steps", "240", "--context", "8", "--sequences", "1", "--warmup", "2", "--checkpoint-every", "40",
        "--hidden", "16", "--layers", "1", "--heads", "2", "--kv-heads", "1", "--intermediate", "24",
    ];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-full-disk-");

    [OneTimeSetUp]
    public async Task Prepare()
    {
        CorpusFile.Write(In("train.txt"), Enumerable.Range(0, 200).Select(i => $"Gets element {i % 7} of row {i}.\n"));
        Assert.That((await CliRun.Of("train", "tokenizer", "--corpus", In("train.txt"), "--vocabulary", "280", "--output", In("tokenizer.json"))).Code, Is.EqualTo(0));
    }

    [OneTimeTearDown]
    public void Delete() => _folder.Delete(recursive: true);

    [Test]
    public async Task DiskThatFillsDuringACheckpoint_LeavesTheLastOneFromWhichTheRunGoesOn()
    {
        Assert.That((await CliRun.Of(Arguments("whole"))).Code, Is.EqualTo(0));
        // Checkpoints grow with the loss curve that they hold, so the first ones are below the last one's size and a later one is not.
        var limit = new FileInfo(Checkpoint("whole")).Length / LimitUnit - 1;

        var (code, error) = await WithFilesNoLongerThan(limit, Arguments("full"));

        Assert.That(code, Is.EqualTo(1), error);
        Assert.That(error, Does.Contain("checkpoint.safetensors").And.Contains("cannot be written").And.Contains("continue with --resume"));
        var kept = int.Parse(KeptStep().Match(error).Groups[1].Value);
        Assert.That(kept, Is.InRange(40, 200), "the first checkpoint fits and the last does not");
        Assert.That(File.ReadLines(Record("full", "loss.csv")).Count(), Is.EqualTo(1 + kept), "a heading and a line for each step that is kept");
        Assert.That(Directory.GetFiles(In("full"), "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }), Has.None.Contains(".tmp"));

        Assert.That((await CliRun.Of([.. Arguments("full"), "--resume"])).Code, Is.EqualTo(0));
        Assert.That(File.ReadAllText(Record("full", "loss.csv")), Is.EqualTo(File.ReadAllText(Record("whole", "loss.csv"))));
        Assert.That(File.ReadAllBytes(Checkpoint("full")), Is.EqualTo(File.ReadAllBytes(Checkpoint("whole"))));
    }

    [GeneratedRegex(@"checkpoint of step (\d+) is whole")]
    private static partial Regex KeptStep();

    private static async Task<(int Code, string Error)> WithFilesNoLongerThan(long kibibytes, string[] arguments)
    {
        // The signal that a too long file sends is ignored; the write itself then fails.
        var script = $"trap '' XFSZ; ulimit -f {kibibytes}; exec \"$@\"";
        var start = new ProcessStartInfo("bash", ["-c", script, "bash", "dotnet", typeof(CommandLine).Assembly.Location, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The runtime's own memory, where it lies in files of its own, must not fall under the limit.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        return (process.ExitCode, error);
    }

    private string[] Arguments(string output)
        => ["train", "model", "--corpus", In("train.txt"), "--tokenizer", In("tokenizer.json"), "--output", In(output), .. Run];

    private string Checkpoint(string output) => Record(output, "checkpoint.safetensors");

    private string Record(string output, string file) => Path.Combine(In(output), "training", file);

    private string In(string name) => Path.Combine(_folder.FullName, name);
}
