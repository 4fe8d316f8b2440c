using NativeSpec.Loading;
using NativeSpec.Training.Runs;

namespace NativeSpec.Training.Tests.Runs;

/// <summary>A run that stops, however it stops, becomes the run that did not.</summary>
public sealed class ResumeTests
{
    private const int Steps = 20;

    private static readonly ModelShape Shape = new() { Hidden = 16, Layers = 1, Heads = 2, KvHeads = 1, Intermediate = 24 };
    private static readonly TrainingOptions Options = new()
    {
        Steps = Steps,
        Context = 24,
        Sequences = 2,
        LearningRate = 1e-2,
        Warmup = 4,
        EvaluateEvery = 4,
        EvaluationTokens = 500,
        CheckpointEvery = 5,
    };

    private readonly TinyCorpus _corpus = new();

    [OneTimeSetUp]
    public void Uninterrupted() => Run("whole");

    [OneTimeTearDown]
    public void Dispose() => _corpus.Dispose();

    [Test]
    public void SameSeed_SameRun()
    {
        Run("again");
        AssertSameAsWhole("again");
    }

    [Test]
    public void AnotherSeed_IsAnotherRun()
    {
        Run("other", Options with { Seed = 2 });
        Assert.That(File.ReadAllText(Record("other", "loss.csv")), Is.Not.EqualTo(File.ReadAllText(Record("whole", "loss.csv"))));
    }

    [TestCase(1)]
    [TestCase(13)]
    public void Cancelled_ThenResumed_IsBitForBitTheUninterruptedRun(int step)
    {
        var output = $"cancelled-{step}";
        using var cancellation = new CancellationTokenSource();
        Assert.That(() => Run(output, Options, At(step, cancellation.Cancel), cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(File.ReadAllLines(Record(output, "loss.csv")), Has.Length.EqualTo(step + 1), "a checkpoint of the very step");
        Run(output, Options with { Resume = true });
        AssertSameAsWhole(output);
    }

    /// <summary>The process goes away without a word; what it was writing is left half written under another name.</summary>
    [TestCase(5)]
    [TestCase(8)]
    [TestCase(19)]
    public void Killed_ThenResumed_IsBitForBitTheUninterruptedRun(int step)
    {
        var output = $"killed-{step}";
        Assert.That(() => Run(output, Options, At(step, () => throw new KilledException())), Throws.InstanceOf<KilledException>());
        File.WriteAllBytes(Record(output, ".checkpoint.safetensors.0.tmp"), File.ReadAllBytes(Record(output, "checkpoint.safetensors"))[..1000]);
        Run(output, Options with { Resume = true });
        AssertSameAsWhole(output);
    }

    [Test]
    public void FolderThatCannotBeWritten_SaysSoAndLeavesTheCheckpoint()
    {
        var records = Path.Combine(_corpus.Output("full"), "training");
        Assert.That(
            () => Run("full", Options, At(7, () =>
            {
                Directory.Move(records, records + "-aside");
                File.WriteAllText(records, "in the way");
            })),
            Throws.InstanceOf<IOException>().With.Message.Contains("step 10 cannot be written").And.Message.Contains("The checkpoint of step 5 is whole"));
        File.Delete(records);
        Directory.Move(records + "-aside", records);
        Run("full", Options with { Resume = true });
        AssertSameAsWhole("full");
    }

    [Test]
    public void ResumeOfAnotherRun_IsRefused()
        => Assert.That(
            () => Run("whole", Options with { Resume = true, LearningRate = 2e-2 }),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("is of another run").And.Message.Contains("rate 0.02"));

    [Test]
    public void ResumeWithoutACheckpoint_IsRefused()
        => Assert.That(() => Run("nothing", Options with { Resume = true }), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("does not exist"));

    [Test]
    public void BeginningOverACheckpoint_IsRefused()
        => Assert.That(() => Run("whole"), Throws.InvalidOperationException.With.Message.Contains("--resume"));

    [Test]
    public void ResumeOfAFinishedRun_ChangesNothing()
    {
        Run("finished");
        Run("finished", Options with { Resume = true });
        AssertSameAsWhole("finished");
    }

    private static SynchronousProgress At(int step, Action act) => new(report =>
    {
        if (report.Step == step)
        {
            act();
        }
    });

    private void Run(string output, TrainingOptions? options = null, IProgress<TrainingReport>? progress = null, CancellationToken cancellationToken = default)
        => TrainingRun.TrainModel(_corpus.Path, _corpus.Tokenizer, _corpus.Output(output), Shape, options ?? Options, progress, cancellationToken);

    private string Record(string output, string file) => Path.Combine(_corpus.Output(output), "training", file);

    private void AssertSameAsWhole(string output)
    {
        Assert.That(File.ReadAllText(Record(output, "loss.csv")), Is.EqualTo(File.ReadAllText(Record("whole", "loss.csv"))));
        Assert.That(File.ReadAllBytes(Record(output, "checkpoint.safetensors")), Is.EqualTo(File.ReadAllBytes(Record("whole", "checkpoint.safetensors"))));
        Assert.That(
            File.ReadAllBytes(Path.Combine(_corpus.Output(output), "model.safetensors")),
            Is.EqualTo(File.ReadAllBytes(Path.Combine(_corpus.Output("whole"), "model.safetensors"))));
    }

    private sealed class SynchronousProgress(Action<TrainingReport> report) : IProgress<TrainingReport>
    {
        public void Report(TrainingReport value) => report(value);
    }

    private sealed class KilledException : Exception;
}
