using NativeSpec.Backends;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends;

/// <summary>What the device says of its rows is what the host finds in the same rows: the same token for the same seed, the same likeliest ones.</summary>
public abstract class DeviceAnswerTests
{
    private SyntheticModel _weights = null!;
    private ModelRun _run = null!;

    [OneTimeSetUp]
    public void Load()
    {
        _weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        _run = new ModelRun(Create(), _weights.Config, _weights.Tensors);
    }

    [OneTimeTearDown]
    public void Unload()
    {
        _run?.Dispose();
        _weights?.Dispose();
    }

    [TestCase(0f, 1UL)]
    [TestCase(0.7f, 2UL)]
    [TestCase(1f, ulong.MaxValue)]
    [TestCase(3f, 4UL)]
    public void Choose_ARuleWithoutFilters_TakesTheHostsTokenOfTheSameRow(float temperature, ulong seed)
    {
        var (rule, chooser) = (new SamplingRule(new SamplingOptions { Temperature = temperature }, seed, 300), new Chooser(300));
        var tree = ModelRun.RandomTree(new Random(5), 40, 300);
        var choices = new Choices(rule, tree, before: 1L << 33);
        var rows = Forward(_run, tree, choices);
        for (var node = 0; node < tree.Count; node++)
        {
            var expected = chooser.Choose(rows.Logits(node), choices.Describe(node));
            Assert.That(((IRowAnswers)_run.Model.Program).Answer(node).Chosen, Is.EqualTo(expected), $"node {node}");
            Assert.That(rows.Choose(node), Is.EqualTo(expected), $"node {node}");
        }
    }

    /// <summary>More ids than a slice's first group has, and than one block's threads take: a kernel has more of them the larger the vocabulary, to a most.</summary>
    [Test]
    public void Choose_FromALargeVocabulary_TakesTheHostsToken()
    {
        const int Vocabulary = 8203;
        using var weights = new SyntheticModel(TestConfigs.Tiny with { VocabSize = Vocabulary, NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(Create(), weights.Config, weights.Tensors);
        var (tree, chooser) = (ModelRun.Chain(1, 8199, 3), new Chooser(Vocabulary));
        var (top, ids) = (new TokenLogProb[64], new int[64]);
        for (var seed = 1UL; seed < 6; seed++)
        {
            var choices = new Choices(new SamplingRule(new SamplingOptions { Temperature = 1.5f }, seed, Vocabulary), tree, before: 0);
            var rows = Forward(run, tree, choices);
            for (var node = 0; node < tree.Count; node++)
            {
                Assert.That(((IRowAnswers)run.Model.Program).Answer(node).Chosen, Is.EqualTo(chooser.Choose(rows.Logits(node), choices.Describe(node))), $"node {node}");
                TopTokens.Select(rows.Logits(node), ids);
                rows.Top(node, top);
                Assert.That(top.Select(found => found.Id), Is.EqualTo(ids));
            }
        }
    }

    [Test]
    public void Choose_RulesThatOnlyTheHostKnows_AreChosenThere()
    {
        var chooser = new Chooser(300);
        var tree = ModelRun.RandomTree(new Random(6), 9, 300);
        foreach (var options in new SamplingOptions[]
        {
            new() { Temperature = 0, LogitBias = new Dictionary<int, float> { [7] = 100 } }, new() { Temperature = 1, TopK = 3 }, new() { Temperature = 1, TopP = 0.5f }, new() { Temperature = 1, MinP = 0.4f },
        })
        {
            var choices = new Choices(new SamplingRule(options, 9, 300), tree, before: 0);
            var rows = Forward(_run, tree, choices);
            for (var node = 0; node < tree.Count; node++)
            {
                Assert.That(rows.Choose(node), Is.EqualTo(chooser.Choose(rows.Logits(node), choices.Describe(node))), $"{options}, node {node}");
            }
        }
    }

    [Test]
    public void Top_OfEveryRow_IsTheHostsWithItsLogProbabilities()
    {
        var rows = Forward(_run, ModelRun.RandomTree(new Random(7), 11, 300), null);
        var (weights, top, ids) = (new float[300], new TokenLogProb[64], new int[64]);
        foreach (var count in new[] { 1, 8, 64, 5 })
        {
            for (var row = 0; row < 11; row++)
            {
                TopTokens.Select(rows.Logits(row), ids.AsSpan(0, count));
                var logSum = LogProbs.LogSumExp(rows.Logits(row), 0, weights);

                Assert.That(rows.Top(row, top.AsSpan(0, count)), Is.EqualTo(count));
                Assert.That(top[..count].Select(found => found.Id), Is.EqualTo(ids[..count]));
                Assert.That(top[..count].Select(found => found.LogProb), Is.EqualTo(ids[..count].Select(id => (float)(rows.Logits(row)[id] - logSum))).Within(1e-5));
                Assert.That(rows.LogProb(row, 17), Is.EqualTo((float)(rows.Logits(row)[17] - logSum)).Within(1e-5));
            }
        }
    }

    /// <summary>One number is brought for one question, and it is of the last run.</summary>
    [Test]
    public void At_BeforeAndAfterItsRowIsHere_IsTheRowsNumber()
    {
        var answers = (IRowAnswers)_run.Model.Program;
        foreach (var seed in new[] { 8, 9 })
        {
            var rows = Forward(_run, ModelRun.RandomTree(new Random(seed), 11, 300), null);
            var before = answers.At(7, 299);
            Assert.That(before, Is.EqualTo(rows.Logits(7)[299]));
            Assert.That(answers.At(7, 299), Is.EqualTo(before));
        }

        Assert.That(() => answers.At(7, 300), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Answer_AfterAForwardThatWasCancelled_HasNoTokenThatOnlyThatOneAskedFor()
    {
        var tree = ModelRun.Chain(1, 2, 3);
        var choices = new Choices(new SamplingRule(new SamplingOptions { Temperature = 1 }, 9, 300), tree, before: 0);
        var (forest, answers) = (new Forest(1), (IRowAnswers)_run.Model.Program);
        using var sequence = _run.Open(64);
        forest.Add(sequence, tree, 0, choices: choices);
        Assert.That(() => _run.Model.Forward(forest, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());

        forest.Clear();
        forest.Add(sequence, tree, 0);
        _run.Model.Forward(forest);

        Assert.That(Enumerable.Range(0, 3).Select(row => answers.Answer(row).Chosen), Is.EqualTo(new[] { -1, -1, -1 }));
    }

    [Test]
    public void Answer_AfterAForwardThatChoicesHaveKeptFromBeginning_HasNoTokenThatOnlyThatOneAskedFor()
    {
        var tree = ModelRun.Chain(1, 2, 3);
        var choices = new Choices(new SamplingRule(new SamplingOptions { Temperature = 1 }, 9, 300), tree, before: 0);
        var (forest, answers) = (new Forest(2), (IRowAnswers)_run.Model.Program);
        using KvSequence sequence = _run.Open(64), other = _run.Open(64);
        forest.Add(sequence, tree, 0, choices: choices);
        forest.Add(other, tree, 0, choices: new ThrowingChoices());
        Assert.That(() => _run.Model.Forward(forest), Throws.InstanceOf<NotSupportedException>());

        foreach (var asks in new[] { false, true })
        {
            forest.Clear();
            forest.Add(sequence, tree, 0, choices: asks ? choices : null);
            _run.Model.Forward(forest);
            Assert.That(Enumerable.Range(0, 3).Select(row => answers.Answer(row).Chosen >= 0), Is.All.EqualTo(asks));
        }
    }

    /// <summary>The device's back end.</summary>
    private protected abstract IBackend Create();

    private static IForwardResult Forward(ModelRun run, TokenTree tree, IRowChoices? choices)
    {
        var forest = new Forest(1);
        using var sequence = run.Open(64);
        forest.Add(sequence, tree, 0, choices: choices);
        return run.Model.Forward(forest);
    }

    private sealed class ThrowingChoices : IRowChoices
    {
        public RowChoice Describe(int node) => throw new NotSupportedException();

        public bool FollowsToken(int node) => throw new NotSupportedException();
    }

    private sealed class Choices(SamplingRule rule, TokenTree tree, long before) : IRowChoices
    {
        public RowChoice Describe(int node) => new() { Rule = rule, Position = before + tree.Depths[node] };

        public bool FollowsToken(int node) => true;
    }
}
