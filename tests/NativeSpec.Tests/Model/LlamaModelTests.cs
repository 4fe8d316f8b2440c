using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Tests.Model;

[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.All))]
public sealed class LlamaModelTests(TestBackend backend)
{
    [Test]
    public void Forward_EveryElementTypeAndFeature_AgreesWithTheFloat64Model([Values(DType.F32, DType.F16, DType.BF16)] DType dtype, [Values] bool biased)
    {
        using var weights = new SyntheticModel(biased ? TestConfigs.Biased : TestConfigs.Tiny, dtype, 5);
        using var run = new ModelRun(backend.Create(), weights.Config, weights.Tensors);
        int[] tokens = [7, 299, 0, 41, 41, 13, 250, 3, 99];

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
