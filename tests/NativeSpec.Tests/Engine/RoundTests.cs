using System.Threading.Channels;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Tokenization;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Engine;

public sealed class RoundTests
{
    /// <summary>The hot path: forest, forward, sampling with every filter and penalty, stop strings, commit.</summary>
    [Test]
    public void Run_DecodingOnceWarm_AllocatesNothing([Values(0f, 0.8f)] float temperature)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        using var run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 2 }), weights.Config, weights.Tensors);
        var folder = Directory.CreateTempSubdirectory("nativespec-").FullName;
        TestTokenizers.WriteByteLevel(folder, 300);
        var tokenizer = Tokenizer.Load(folder);
        Directory.Delete(folder, recursive: true);
        var options = new GenerationOptions
        {
            Temperature = temperature,
            TopK = 50,
            TopP = 0.95f,
            MinP = 0.01f,
            RepetitionPenalty = 1.1f,
            PresencePenalty = 0.1f,
            FrequencyPenalty = 0.1f,
            StopStrings = ["\u0001\u0002 never"],
        };
        var chooser = new Chooser(300);
        var core = new SpeculationCore([], new CostCurve([1], [1e-3]), 300, 8);
        var sequences = Enumerable.Range(0, 3).Select(i =>
        {
            var request = new SequenceRequest([1, 2, 3 + i], options, (ulong)i, 200, [], 1);
            var rule = new SamplingRule(options, request.Seed, 300);
            var history = new TokenHistory(300, 203, tracksTokens: true);
            var sequence = new Sequence(
                request, chooser, history, new TextStream(tokenizer, options.StopStrings),
                () => new Speculator(core, options.Speculation, request.Prompt, chooser, rule, history), 16,
                Channel.CreateUnbounded<GenerationPiece>().Writer, new CancellationTokenSource());
            sequence.Admit(run.Open());
            return sequence;
        }).ToList();
        var round = new Round(run.Model, core, prefillChunk: 16);
        for (var i = 0; i < 60; i++)
        {
            round.Run(sequences, CancellationToken.None);
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 20; i++)
        {
            round.Run(sequences, CancellationToken.None);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(sequences.Select(sequence => sequence.IsFinished), Has.All.False);
    }
}
