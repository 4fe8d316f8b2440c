using System.Diagnostics;
using NativeSpec.Backends.Cuda;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends.Cuda;
using NativeSpec.Tests.Model;

namespace NativeSpec.CudaCheck;

/// <summary>Round after round as an engine has them, with choices, walks and commits, of a model that is so small that the host's share shows.</summary>
public sealed class ThousandRoundsTests
{
    private const int Texts = 8, Nodes = 8, Vocabulary = 300;

    private static readonly int[] Prompt = [1, 2, 3];

    [Test]
    public void Forward_AThousandTimes_AllocatesNothingAndGivesTheSameBits()
    {
        var (rounds, repeats) = CudaEmulator.IsEmulated ? (6, 1) : (1000, 20);
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (sequences, forest, walked) = (Enumerable.Range(0, Texts).Select(_ => run.Open(64)).ToArray(), new Forest(Texts), 0);
        var trees = sequences.Select((sequence, i) => TreeOf(run, sequence, 10 + i)).ToArray();
        var rule = new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, Vocabulary);
        var choices = Array.ConvertAll(trees, tree => new CudaWalkTests.Choices(rule, tree, 0, null));
        for (var round = 0; round < 3; round++)
        {
            Step(); // the third is a graph
        }

        var first = run.Model.Logits(15).ToArray();
        walked = 0;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var begin = Stopwatch.GetTimestamp();
        for (var round = 0; round < rounds; round++)
        {
            Step();
        }

        var (elapsed, bytes) = (Stopwatch.GetElapsedTime(begin), GC.GetAllocatedBytesForCurrentThread() - allocated);
        Assert.That(bytes, Is.Zero);
        Assert.That(walked, Is.GreaterThanOrEqualTo(rounds * Texts * Nodes / 2), "nodes of paths, every second of which did not lie in its place");
        Assert.That(run.Model.Logits(15).ToArray(), Is.EqualTo(first));
        var (each, device) = (elapsed.TotalMicroseconds / rounds, ((CudaProgram)run.Model.Program).MeasureTogether(repeats) * 1e6);
        TestContext.Out.WriteLine(FormattableString.Invariant(
            $"rounds: {rounds} of one layer, {Texts} trees and {Texts * Nodes} rows, {each:F1} us each, of which the kernels' graph takes {device:F1} us{(CudaEmulator.IsEmulated ? "" : $": host and copies take {each - device:F1} us")}; {bytes} bytes allocated"));

        void Step()
        {
            forest.Clear();
            for (var i = 0; i < Texts; i++)
            {
                forest.Add(sequences[i], trees[i], 0, choices: choices[i]);
            }

            run.Model.Forward(forest);
            foreach (var sequence in sequences)
            {
                walked += sequence.Walked.Length;
                sequence.Commit(sequence.Walked);
                sequence.Truncate(Prompt.Length);
            }
        }
    }

    /// <summary>A wrong and then the right token after each of the text's, so that what is accepted has to be moved.</summary>
    private static TokenTree TreeOf(ModelRun run, KvSequence sequence, int root)
    {
        run.Append(sequence, Prompt);
        var tree = new TokenTree(Nodes);
        for (var node = tree.Add(-1, root); tree.Count < Nodes - 1;)
        {
            var logits = run.Append(sequence, [tree.Tokens[node]])[0];
            var next = Array.IndexOf(logits, logits.Max());
            tree.Add(node, (next + 1) % Vocabulary);
            node = tree.Add(node, next);
        }

        tree.Add(0, root);
        sequence.Truncate(Prompt.Length);
        return tree;
    }
}
