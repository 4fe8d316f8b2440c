using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Speculation;
using NativeSpec.Training.Corpus;
using NativeSpec.Training.Runs;

namespace NativeSpec.Training.Tests.Runs;

/// <summary>Whole runs of seconds: what is learnt, and what others read of it.</summary>
public sealed class TrainingRunTests
{
    private static readonly ModelShape Shape = new() { Hidden = 32, Layers = 2, Heads = 4, KvHeads = 2, Intermediate = 48 };
    private static readonly TrainingOptions Options = new() { Steps = 150, Context = 48, Sequences = 4, LearningRate = 1e-2, Warmup = 10, EvaluateEvery = 50, CheckpointEvery = 50 };

    private readonly TinyCorpus _corpus = new();
    private TrainingResult _result = null!;

    private string Model => _corpus.Output("model");

    [OneTimeSetUp]
    public void Train() => _result = TrainingRun.TrainModel(_corpus.Path, _corpus.Tokenizer, Model, Shape, Options);

    [OneTimeTearDown]
    public void Dispose() => _corpus.Dispose();

    /// <summary>ln 300 = 5.7 is where it begins; the text itself holds about 0.9 nats per token.</summary>
    [Test]
    public void TrainModel_TinyText_LosesLessThanTwoNats()
    {
        Assert.That(_result.Loss, Is.LessThan(2));
        Assert.That(_result.HeldOut[0].Loss, Is.LessThan(2));
    }

    [Test]
    public void TrainModel_Written_IsWhatTheEngineMeasures()
    {
        using var evaluation = TextEvaluation.Load(Model);
        var score = evaluation.Score(File.ReadAllText(_corpus.Train)[..2000].Replace("<|endoftext|>\n", "", StringComparison.Ordinal));
        Assert.That(score.NatsPerToken, Is.LessThan(2.5)); // without the ends of texts it sees something new
        using var checkpoint = LlamaCheckpoint.Open(Model);
        Assert.That(checkpoint.Config.ParameterCount, Is.EqualTo(_result.Parameters));
        Assert.That(checkpoint.EosTokenIds, Is.EqualTo(new[] { 0 }));
    }

    [Test]
    public void TrainModel_LossCurve_HasAPointForEveryStepAndIsDrawn()
    {
        var lines = File.ReadAllLines(Path.Combine(Model, "training", "loss.csv"));
        Assert.That(lines[0], Is.EqualTo("step,loss,heldout"));
        Assert.That(lines.Skip(1).Select(line => int.Parse(line.Split(',')[0], null)), Is.EqualTo(Enumerable.Range(1, 150)));
        Assert.That(lines[50].Split(',')[2], Is.Not.Empty, "the held-out loss of step 50");
        Assert.That(File.ReadAllText(Path.Combine(Model, "training", "loss.svg")), Does.StartWith("<svg").And.Contains("polyline"));
    }

    [Test]
    public void TrainDraft_OfTheModel_AgreesWithItMoreOftenThanNot()
    {
        var shape = Shape with { Hidden = 16, Layers = 1, Heads = 2, KvHeads = 1, Intermediate = 24 };
        var result = TrainingRun.TrainDraft(_corpus.Path, Model, _corpus.Output("draft"), shape, 0.8f, Options);
        Assert.That(result.HeldOut[0].Accuracy, Is.GreaterThan(0.6));
        using var engine = InferenceEngine.Load(Model, new EngineOptions { DraftModels = [_corpus.Output("draft")], ProfileDirectory = null });
        Assert.That(engine.Drafters, Does.Contain("draft"));
    }

    [Test]
    public async Task TrainMedusa_TrainedHeads_RaiseTokensPerRoundOverUntrainedOnes()
    {
        var trained = _corpus.Output("heads");
        var untrained = _corpus.Output("untrained");
        var result = TrainingRun.TrainMedusa(_corpus.Path, Model, trained, new MedusaTraining { Heads = 3 }, Options with { Steps = 100 });
        TrainingRun.TrainMedusa(_corpus.Path, Model, untrained, new MedusaTraining { Heads = 3 }, Options with { Steps = 1, LearningRate = 1e-9 });
        Assert.That(await TokensPerRoundAsync(trained), Is.GreaterThan(await TokensPerRoundAsync(untrained) + 0.3));
        Assert.That(result.HeldOut.Select(measured => measured.Name), Has.Some.Contains("head 2"));
    }

    [Test]
    public async Task TrainMedusa_LearningModel_WritesOneModelWithItsHeads()
    {
        var output = _corpus.Output("medusa-2");
        TrainingRun.TrainMedusa(
            _corpus.Path, Model, output, new MedusaTraining { Heads = 2, LearnModel = true, HeadWarmup = 20 }, Options with { Steps = 60, LearningRate = 4e-3 });
        using var checkpoint = LlamaCheckpoint.Open(output);
        Assert.That(MedusaCheckpoint.FromModel(checkpoint.Checkpoint)?.Heads, Has.Count.EqualTo(2));
        using var before = LlamaCheckpoint.Open(Model);
        Assert.That(checkpoint.Tensors.FinalNorm.Bytes.ToArray(), Is.Not.EqualTo(before.Tensors.FinalNorm.Bytes.ToArray()), "the model has learnt too");
        Assert.That(await TokensPerRoundAsync(output, output), Is.GreaterThan(1));
    }

    [Test]
    public void TrainMedusa_SelfGeneratedText_IsWhatTheModelWrites()
    {
        var (first, second) = (_corpus.Output("self-1"), _corpus.Output("self-2"));
        foreach (var output in new[] { first, second })
        {
            TrainingRun.TrainMedusa(_corpus.Path, Model, output, new MedusaTraining { Heads = 1, SelfGenerated = 2000 }, Options with { Steps = 2 });
        }

        var text = File.ReadAllText(Path.Combine(first, "training", "self-generated.txt"));
        Assert.That(text, Is.EqualTo(File.ReadAllText(Path.Combine(second, "training", "self-generated.txt"))), "the same seed");
        Assert.That(CorpusFile.ReadDocuments(Path.Combine(first, "training", "self-generated.txt")), Has.Count.GreaterThan(32).And.All.StartsWith("///"));
    }

    [Test]
    public void TrainMedusa_FrozenModel_LeavesItsFilesAlone()
    {
        var before = File.ReadAllBytes(Path.Combine(Model, "model.safetensors"));
        TrainingRun.TrainMedusa(_corpus.Path, Model, _corpus.Output("frozen"), new MedusaTraining { Heads = 1 }, Options with { Steps = 2 });
        Assert.That(File.ReadAllBytes(Path.Combine(Model, "model.safetensors")), Is.EqualTo(before));
        Assert.That(File.Exists(Path.Combine(_corpus.Output("frozen"), "model.safetensors")), Is.False);
    }

    private async Task<double> TokensPerRoundAsync(string heads, string? model = null)
    {
        using var engine = InferenceEngine.Load(model ?? Model, new EngineOptions { Medusa = heads, ProfileDirectory = null, Threads = 2 });
        var options = new GenerationOptions { MaxTokens = 32, Temperature = 0, Speculation = new SpeculationOptions { Drafters = ["medusa"], Unplanned = true } };
        var (emitted, rounds) = (0, 0);
        foreach (var prompt in new[] { "/// <summary>Gets", "/// <summary>Sets", "/// <summary>Removes", "/// <summary>Returns" })
        {
            await foreach (var piece in engine.GenerateAsync(prompt, options))
            {
                var stats = piece.Result?.Speculation;
                (emitted, rounds) = (emitted + (stats?.Emitted ?? 0), rounds + (stats?.Rounds ?? 0));
            }
        }

        return (double)emitted / rounds;
    }
}
