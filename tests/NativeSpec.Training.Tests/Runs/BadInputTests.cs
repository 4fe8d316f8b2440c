using NativeSpec.Loading;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Runs;

namespace NativeSpec.Training.Tests.Runs;

public sealed class BadInputTests
{
    private static readonly ModelShape Shape = new() { Hidden = 16, Layers = 1, Heads = 2, KvHeads = 1, Intermediate = 24 };

    private readonly TinyCorpus _corpus = new();

    [OneTimeTearDown]
    public void Dispose() => _corpus.Dispose();

    [Test]
    public void EmptyText_IsRefusedWithTheFile()
    {
        var file = _corpus.Output("empty.txt");
        File.WriteAllText(file, "");
        Assert.That(() => Train(file, new TrainingOptions { Steps = 1 }), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("empty.txt").And.Message.Contains("no document"));
    }

    [Test]
    public void TextShorterThanASequence_IsRefusedWithBothLengths()
    {
        var file = _corpus.Output("short.txt");
        File.WriteAllText(file, "Gets the number of elements.\n");
        Assert.That(() => Train(file, new TrainingOptions { Steps = 1, Context = 256 }), Throws.InstanceOf<ModelFormatException>().With.Message.Match("has \\d+ tokens; one training sequence takes 257"));
    }

    [Test]
    public void MoreThanTheMemory_IsRefusedBeforeItIsTaken()
        => Assert.That(
            () => Train(_corpus.Path, new TrainingOptions { Steps = 1, Sequences = 60000, Context = 100000 }),
            Throws.ArgumentException.With.Message.Contains("vocabulary of 300").And.Message.Contains("MiB"));

    [TestCase(0)]
    [TestCase(double.NaN)]
    [TestCase(11)]
    public void ImpossibleLearningRate_IsRefusedByName(double rate)
        => Assert.That(() => Train(_corpus.Path, new TrainingOptions { LearningRate = rate }), Throws.ArgumentException.With.Message.Contains("LearningRate is"));

    [Test]
    public void TokenizerThatIsNotThere_IsRefused()
        => Assert.That(
            () => TrainingRun.TrainModel(_corpus.Path, _corpus.Output("none.json"), _corpus.Output("m"), Shape, new TrainingOptions { Steps = 1 }),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("none.json"));

    [Test]
    public void LossThatIsNoNumber_StopsAndKeepsTheLastCheckpoint()
    {
        using var bench = new Workbench(threads: 1);
        using var objective = new DivergingObjective(bench, atStep: 8);
        var options = new TrainingOptions { Steps = 20, Context = 4, Sequences = 1, CheckpointEvery = 5 };
        var output = _corpus.Output("diverging");
        var tokens = Enumerable.Range(0, 100).ToArray();
        var trainer = new Trainer(bench, objective, tokens, heldOut: null, options, output, "a test");
        Assert.That(
            () => trainer.Run(null, CancellationToken.None),
            Throws.InstanceOf<TrainingDivergedException>().With.Message.Contains("at step 8").And.Message.Contains("checkpoint of step 5 is whole").And.Message.Contains("lower learning rate"));
        var kept = TrainingCheckpoint.Read(Path.Combine(output, "training", TrainingCheckpoint.FileName), objective.Parameters, RecipeOf(output));
        Assert.That(kept.Points, Has.Count.EqualTo(5));
        Assert.That(objective.Parameters[0].Value.All[0], Is.EqualTo(objective.ValueAt5));
    }

    private static string RecipeOf(string output)
    {
        using var file = SafetensorsFile.Open(Path.Combine(output, "training", TrainingCheckpoint.FileName));
        using var state = System.Text.Json.JsonDocument.Parse(file.Metadata["nativespec_training"]);
        return state.RootElement.GetProperty("recipe").GetString()!;
    }

    private void Train(string text, TrainingOptions options)
        => TrainingRun.TrainModel(text, _corpus.Tokenizer, _corpus.Output(Guid.NewGuid().ToString("N")), Shape, options);

    /// <summary>One number, whose loss is no number from some step on.</summary>
    private sealed class DivergingObjective : IObjective
    {
        private readonly int _atStep;
        private long _step;

        public DivergingObjective(Workbench bench, int atStep)
        {
            _atStep = atStep;
            Parameters = [new Parameter(bench, [new ParameterPart("p", 1)], 1, decays: true)];
        }

        public IReadOnlyList<Parameter> Parameters { get; }

        public int Lookahead => 1;

        public IReadOnlyList<string> MeasureNames => ["loss"];

        public float ValueAt5 { get; private set; }

        public void Begin(long step)
        {
            _step = step;
            ValueAt5 = step == 6 ? Parameters[0].Value.All[0] : ValueAt5;
        }

        public LossSum Learn(TokenBatch batch)
        {
            Parameters[0].Gradient.All[0] = 1;
            return new LossSum(_step < _atStep ? 1 : double.NaN, 0, batch.Rows);
        }

        public LossSum[] Measure(TokenBatch batch) => [new LossSum(1, 0, batch.Rows)];

        public void Export(string folder) => Directory.CreateDirectory(folder);

        public void Reload(string folder) => throw new InvalidOperationException("nothing to read");

        public void Dispose() => Parameters[0].Dispose();
    }
}
