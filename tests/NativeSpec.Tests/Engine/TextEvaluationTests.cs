using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Sampling;
using NativeSpec.Tests.Model;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Engine;

public sealed class TextEvaluationTests
{
    private const string Text = "Windows overlap by half, so every token keeps its history. – ü";

    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    /// <summary>Every token's window is worked out on its own here, and the model is the float64 reference.</summary>
    [TestCase(21)]
    [TestCase(22)]
    [TestCase(300)]
    public void Score_IsTheReferencesCrossEntropy(int context)
    {
        using var evaluation = Load(context);
        var score = evaluation.Score(Text);

        var ids = Tokenizer.Load(_folder.Path).Encode(Text);
        Assert.That((score.Tokens, score.Bytes), Is.EqualTo((ids.Length - 1L, System.Text.Encoding.UTF8.GetByteCount(Text))));
        Assert.That(score.Nats, Is.EqualTo(ReferenceNats(ids, begin: 1, context)).Within(1e-3));
        Assert.That(score.NatsPerToken, Is.EqualTo(score.Nats / score.Tokens));
        Assert.That(score.BitsPerByte, Is.EqualTo(score.Nats / Math.Log(2) / score.Bytes));
        Assert.That(score.Perplexity, Is.EqualTo(Math.Exp(score.NatsPerToken)));
    }

    [Test]
    public void Nats_WithoutATokenThatBeginsTexts_LeavesTheFirstTokenOut()
    {
        using var evaluation = Load(16);
        int[] ids = [.. Text.Select(c => (int)c % 256)];

        Assert.That(evaluation.Nats(ids, begin: 0, null, default), Is.EqualTo(ReferenceNats(ids, begin: 0, 16)).Within(1e-3));
    }

    [Test]
    public void Score_InChunksOfAnySize_HasTheSameBits()
    {
        using TextEvaluation one = Load(40, chunk: 1), many = Load(40, chunk: 64);

        Assert.That(many.Score(Text).Nats, Is.EqualTo(one.Score(Text).Nats));
    }

    [Test]
    public void Score_ReportsItsProgressUpToOne()
    {
        using var evaluation = Load(20);
        var reports = new Reports();

        evaluation.Score(Text, reports);

        Assert.That(reports.Shares, Has.Count.GreaterThan(3).And.Ordered);
        Assert.That(reports.Shares[^1], Is.EqualTo(1));
    }

    [Test]
    public void Score_Cancelled_Throws()
    {
        using var evaluation = Load(20);

        Assert.That(() => evaluation.Score(Text, null, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(evaluation.Score(Text).Tokens, Is.Positive, "and the next text is measured as ever");
    }

    [Test]
    public void Nats_WhereTheModelBreaks_SaysWhereRatherThanNaN()
    {
        using var evaluation = Load(20);

        Assert.That(() => evaluation.Nats([1, 2, TestFolder.PoisonedToken, 3], 0, null, default), Throws.InstanceOf<NonFiniteLogitsException>());
    }

    [Test]
    public void Score_OfNothing_IsRefused()
    {
        using var evaluation = Load(20);

        Assert.That(() => evaluation.Score(""), Throws.ArgumentException.With.Message.Contains("longer text"));
    }

    private TextEvaluation Load(int context, int chunk = 256) => TextEvaluation.Load(_folder.Path, new EngineOptions { MaxContext = context, PrefillChunk = chunk });

    private double ReferenceNats(int[] ids, int begin, int context)
    {
        using var checkpoint = LlamaCheckpoint.Open(_folder.Path);
        var (room, nats) = (context - begin, 0.0);
        var step = room - (room / 2);
        int[] text = [.. ids.Skip(begin)];
        for (var i = 1 - begin; i < text.Length; i++)
        {
            var first = i < room ? 0 : (((i - room) / step) + 1) * step;
            Assert.That(i - first, Is.GreaterThanOrEqualTo(Math.Min(i, room / 2)), "history");
            var logits = new ReferenceLlama(checkpoint.Config, checkpoint.Tensors).Logits([.. ids.Take(begin), .. text[first..i]]);
            nats -= logits[text[i]] - logits.Max() - Math.Log(logits.Sum(logit => Math.Exp(logit - logits.Max())));
        }

        return nats;
    }

    private sealed class Reports : IProgress<double>
    {
        public List<double> Shares { get; } = [];

        public void Report(double value) => Shares.Add(value);
    }
}
