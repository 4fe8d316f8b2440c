using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Tests.Model;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.Levels))]
public sealed class LlamaModelTests(TestBackend backend)
{
    [Test]
    public void Forward_EveryElementTypeAndFeature_AgreesWithTheFloat64Model([Values(DType.F32, DType.F16, DType.BF16)] DType dtype, [Values("Tiny", "Biased", "Mixed")] string shape)
    {
        using var weights = new SyntheticModel(TestConfigs.Named(shape), dtype, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        int[] tokens = [7, 299, 0, 41, 41, 13, 250, 3, 99, .. shape == "Mixed" ? Enumerable.Range(100, 30) : []]; // past the window

        var logits = run.Append(run.Open(), tokens, chunk: 4);

        var reference = new ReferenceLlama(weights.Config, weights.Tensors);
        for (var i = 0; i < tokens.Length; i++)
        {
            var expected = reference.Logits([tokens[i]]);
            Assert.That(logits[i].Zip(expected, (a, e) => Math.Abs(a - e)).Max(), Is.LessThan((2e-5 + backend.MatMulError(dtype)) * expected.Max(Math.Abs)), $"after token {i}");
        }
    }

    [Test]
    public void Forward_ATokenOutsideTheVocabulary_IsRefusedAndTheNextForwardIsFine([Values(-1, 300)] int token)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var sequence = run.Open();
        Assert.That(() => run.Forward((sequence, ModelRun.Chain(1, token))), Throws.ArgumentException.With.Message.Contains(token.ToString()));
        Assert.That(run.Append(sequence, [1])[0], Has.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Forward_PastTheContext_IsRefusedWithTheNumbers()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var sequence = run.Open(300);
        run.Append(sequence, new int[250], chunk: 128);
        Assert.That(() => run.Append(sequence, new int[7], chunk: 7), Throws.ArgumentException.With.Message.Contains("256"));
    }

    [Test]
    public void Forward_Cancelled_ThrowsAndCommitsNothing()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var sequence = run.Open();
        var forest = new Forest(1);
        forest.Add(sequence, ModelRun.Chain(1, 2, 3), 2);
        Assert.Throws<OperationCanceledException>(() => run.Model.Forward(forest, new CancellationToken(canceled: true)));
        Assert.That(sequence.Length, Is.Zero);
    }

    /// <summary>What is used after its end must be refused, for its memory may be anybody's.</summary>
    [Test]
    public void Forward_AfterSomethingItNeedsWasDisposed_SaysSo([Values("sequence", "cache", "weights", "model")] string disposed)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var sequence = run.Open();
        var forest = new Forest(1);
        forest.Add(sequence, ModelRun.RandomTree(new Random(1), 6, 300), 0);
        var rows = run.Model.Forward(forest);
        Assert.That(rows.Logits(3)[0], Is.Not.NaN);

        IDisposable gone = disposed switch { "sequence" => sequence, "cache" => run.Cache, "weights" => weights, _ => run.Model };
        gone.Dispose();

        if (disposed == "cache")
        {
            Assert.Throws<ObjectDisposedException>(() => sequence.Commit([0, 2]));
        }

        if (disposed == "model")
        {
            Assert.Throws<ObjectDisposedException>(() => rows.Logits(3));
        }

        Assert.Throws<ObjectDisposedException>(() => run.Model.Forward(forest));
    }

    [Test]
    public void Forward_CancelledBetweenLayers_LeavesTheModelUsable()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        using var source = new CancellationTokenSource();
        var sequence = run.Open();
        var expected = run.Forward((sequence, ModelRun.Chain(1, 2, 3)))[0];
        var forest = new Forest(1);
        forest.Add(sequence, ModelRun.Chain(1, 2, 3), 0);
        run.Model.Forward(forest, source.Token);
        source.Cancel();

        var error = Assert.Throws<OperationCanceledException>(() => run.Model.Forward(forest, source.Token))!;

        Assert.That(error.CancellationToken, Is.EqualTo(source.Token));
        Assert.That(run.Forward((sequence, ModelRun.Chain(1, 2, 3)))[0], Is.EqualTo(expected));
    }

    [Test]
    public void Rows_WhatIsAskedOfThem_AgreesWithTheirLogits()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var forest = new Forest(2);
        var rule = new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, weights.Config.VocabSize);
        forest.Add(run.Open(), ModelRun.Chain(1, 2, 3), 1);
        forest.Add(run.Open(), ModelRun.Chain(7, 8), 0, choices: new Greedy(rule));
        var rows = run.Model.Forward(forest);

        for (var row = 0; row < forest.LogitCount; row++)
        {
            var logits = Array.ConvertAll(rows.Logits(row).ToArray(), logit => (double)logit);
            var logSum = logits.Max() + Math.Log(logits.Sum(logit => Math.Exp(logit - logits.Max())));
            int[] likeliest = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(5)];
            var top = new TokenLogProb[5];
            var ids = new int[5];
            Assert.That((rows.Top(row, top), rows.Top(row, ids)), Is.EqualTo((5, 5)));
            Assert.That(top.Select(token => token.Id), Is.EqualTo(likeliest));
            Assert.That(ids, Is.EqualTo(likeliest));
            Assert.That(top.Select(token => (double)token.LogProb), Is.EqualTo(likeliest.Select(id => logits[id] - logSum)).Within(1e-5));
            Assert.That(rows.LogProb(row, 17), Is.EqualTo(logits[17] - logSum).Within(1e-5));
            Assert.That(rows.Hidden(row).Values.Length, Is.EqualTo(weights.Config.HiddenSize));
        }

        Assert.That(rows.Choose(forest.LogitRow(1, 1)), Is.EqualTo(Likeliest(rows, forest.LogitRow(1, 1))));
        Assert.That(() => rows.Choose(0), Throws.InvalidOperationException.With.Message.Contains("choices"));
        Assert.That(() => rows.Logits(4), Throws.InstanceOf<ArgumentOutOfRangeException>());

        static int Likeliest(IForwardResult rows, int row)
        {
            var ids = new int[1];
            rows.Top(row, ids);
            return ids[0];
        }
    }

    private sealed class Greedy(SamplingRule rule) : IRowChoices
    {
        public RowChoice Describe(int node) => new() { Rule = rule, Position = node };

        public bool FollowsToken(int node) => true;
    }

    [Test]
    public void Forward_OnceWarm_AllocatesNothing()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        var sequence = run.Open();
        var forest = new Forest(1);
        var tree = ModelRun.RandomTree(new Random(1), 8, 300);
        var path = ModelRun.PathTo(tree, 7);
        for (var round = 0; round < 5; round++)
        {
            Round();
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        Round();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Round()
        {
            forest.Clear();
            forest.Add(sequence, tree, 0);
            run.Model.Forward(forest);
            sequence.Commit(path);
        }
    }
}
