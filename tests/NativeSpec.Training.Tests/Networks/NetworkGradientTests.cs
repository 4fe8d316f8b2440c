using NativeSpec.Loading.Llama;
using NativeSpec.Tests.Model;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Networks;
using NativeSpec.Training.Runs;

namespace NativeSpec.Training.Tests.Networks;

/// <summary>The whole model: its forward against the plain reference, its gradients against slopes.</summary>
public sealed class NetworkGradientTests
{
    private readonly Workbench _bench = new(threads: 2);

    private static LlamaConfig Config { get; } = TestConfigs.Tiny with { HiddenSize = 16, HeadDim = 4, IntermediateSize = 20, NumHiddenLayers = 2, VocabSize = 12 };

    [OneTimeTearDown]
    public void Dispose() => _bench.Dispose();

    [TestCase(true)]
    [TestCase(false)]
    public void Forward_SameWeights_GivesTheReferencesLogits(bool tied)
    {
        var config = Config with { TieWordEmbeddings = tied };
        var batch = Batch(2, 9, lookahead: 1);
        using var network = Network(config, batch);
        using var folder = new TemporaryFolder();
        ModelFiles.WriteModel(folder.Path, config, network.Parameters);
        using var written = LlamaCheckpoint.Open(folder.Path);
        network.Load(written.Checkpoint.Tensors); // rounded, as the reference reads them
        var logits = new Matrix(batch.Rows, config.VocabSize);
        network.Output.Forward(network.Forward(batch), logits, batch.Rows);
        for (var sequence = 0; sequence < 2; sequence++)
        {
            var tokens = Enumerable.Range(sequence * 9, 9).Select(batch.Input).ToArray();
            var expected = new ReferenceLlama(config, written.Tensors).Logits(tokens);
            Assert.That(logits.Row((sequence * 9) + 8).ToArray(), Is.EqualTo(expected.Select(z => (float)z)).Within(1e-5f));
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public void LanguageModel_EveryGradient_IsTheSlope(bool tied)
    {
        var batch = Batch(2, 9, lookahead: 1);
        var network = Network(Config with { TieWordEmbeddings = tied }, batch);
        using var objective = new LanguageModelObjective(_bench, network);
        Verify(objective, batch);
    }

    [Test]
    public void Distillation_EveryGradient_IsTheSlope()
    {
        var batch = Batch(2, 9, lookahead: 1);
        var target = Network(Config, batch);
        var draft = Network(Config with { NumHiddenLayers = 1 }, batch, seed: 8);
        using var objective = new DistillationObjective(_bench, draft, target, share: 0.8f);
        Verify(objective, batch);
    }

    [TestCase(false)]
    [TestCase(true)]
    public void Medusa_EveryGradient_IsTheSlope(bool learnModel)
    {
        var batch = Batch(2, 9, lookahead: 4);
        using var objective = new MedusaObjective(_bench, Network(Config, batch), new MedusaTraining { Heads = 3, LearnModel = learnModel, HeadWarmup = 0 }, batch.Rows);
        for (var i = 0; i < 6; i++)
        {
            objective.Parameters[i].FillNormal(_bench, 0.3, seed: 3, (uint)i); // no head may be zero: it would hide a gradient
        }

        objective.Begin(1);
        Verify(objective, batch);
    }

    /// <summary>The shift: an untrained head is the model's own output matrix, so its loss is that matrix's on the token t + 2 + h.</summary>
    [Test]
    public void Medusa_UntrainedHead_HasTheOutputMatrixLossOnTheTokenBehind()
    {
        var batch = Batch(2, 9, lookahead: 5);
        var network = Network(Config, batch);
        using var objective = new MedusaObjective(_bench, network, new MedusaTraining { Heads = 4 }, batch.Rows);
        var measured = objective.Measure(batch);
        var logits = new Matrix(batch.Rows, Config.VocabSize);
        network.Output.Forward(network.Forward(batch), logits, batch.Rows);
        for (var head = 0; head < 4; head++)
        {
            var nats = 0.0;
            for (var row = 0; row < batch.Rows; row++)
            {
                var z = logits.Row(row).ToArray();
                nats += Math.Log(z.Sum(v => Math.Exp(v))) - z[batch.Ahead(row, 2 + head)];
            }

            Assert.That(measured[head + 1].Nats, Is.EqualTo(nats).Within(1e-4), $"head {head}");
        }
    }

    [Test]
    public void TokenBatch_Ahead_IsTheTokenThatFollows()
    {
        var batch = new TokenBatch([10, 11, 12, 13, 14, 20, 21, 22, 23, 24], sequences: 2, lookahead: 2);
        Assert.That(Enumerable.Range(0, 6).Select(batch.Input), Is.EqualTo(new[] { 10, 11, 12, 20, 21, 22 }));
        Assert.That(Enumerable.Range(0, 6).Select(row => batch.Ahead(row, 2)), Is.EqualTo(new[] { 12, 13, 14, 22, 23, 24 }));
    }

    private static TokenBatch Batch(int sequences, int length, int lookahead)
    {
        var random = new Random(5);
        return new TokenBatch([.. Enumerable.Range(0, sequences * (length + lookahead)).Select(_ => random.Next(Config.VocabSize))], sequences, lookahead);
    }

    private static void Verify(IObjective objective, TokenBatch batch)
    {
        objective.Learn(batch);
        foreach (var parameter in objective.Parameters)
        {
            GradientCheck.Verify(parameter.Name, parameter.Value, parameter.Gradient, () => objective.Measure(batch)[0].Mean, allowance: 0.02);
        }
    }

    private LlamaNetwork Network(LlamaConfig config, TokenBatch batch, ulong seed = 7)
    {
        var network = new LlamaNetwork(_bench, config, batch.Sequences, batch.Length);
        for (var i = 0; i < network.Parameters.Count; i++)
        {
            if (!network.Parameters[i].IsVector)
            {
                network.Parameters[i].FillNormal(_bench, 0.4, seed, (uint)i);
            }
        }

        return network;
    }
}
