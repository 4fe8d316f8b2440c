using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>What is drawn over many positions follows the distribution, and depends on (seed, position) alone.</summary>
internal sealed class SamplerDrawTests
{
    private const int VocabSize = 12;
    private const int Draws = 60_000;

    private static readonly int[] Prompt = [1, 2, 3];
    private static readonly float[] Logits = [.. Enumerable.Range(0, VocabSize).Select(i => (float)(2 * Math.Sin(i * 1.7)))];

    private static IEnumerable<SamplingOptions> Options() =>
    [
        new() { Temperature = 0.3f },
        new() { Temperature = 1 },
        new() { Temperature = 1.5f },
        new() { Temperature = 1, TopK = 5 },
        new() { Temperature = 1.5f, TopP = 0.8f },
        new() { Temperature = 1, MinP = 0.1f },
        new() { Temperature = 0.8f, TopK = 9, TopP = 0.95f, MinP = 0.02f, RepetitionPenalty = 1.3f, PresencePenalty = 0.4f, FrequencyPenalty = 0.2f },
    ];

    [TestCaseSource(nameof(Options))]
    public void Sample_ManyPositions_FollowsTheDistribution(SamplingOptions options)
    {
        var (counts, probabilities) = CountTokens(options);

        Assert.That(ChiSquare.Rejects(counts, probabilities), Is.False);
    }

    [Test]
    public void Sample_DistributionOfAnotherTemperature_IsRejected()
    {
        var (counts, _) = CountTokens(new() { Temperature = 1 });
        var (_, others) = CountTokens(new() { Temperature = 1.05f });

        Assert.That(ChiSquare.Rejects(counts, others), Is.True);
    }

    [Test]
    public void Sample_NeighbouringPositions_AreIndependent()
    {
        var sampler = Make(new() { Temperature = 1 }, seed: 5);
        var (_, single) = CountTokens(new() { Temperature = 1 });
        var joint = new double[VocabSize * VocabSize];
        var (pairs, repeated) = (new long[joint.Length], new long[joint.Length]);
        for (var i = 0; i < joint.Length; i++)
        {
            joint[i] = single[i / VocabSize] * single[i % VocabSize];
        }

        for (var position = 0; position < 2 * Draws; position += 2)
        {
            var first = Sample(sampler, position);
            pairs[(first * VocabSize) + Sample(sampler, position + 1)]++;
            repeated[(first * VocabSize) + Sample(sampler, position)]++;
        }

        Assert.That(ChiSquare.Rejects(pairs, joint), Is.False);
        Assert.That(ChiSquare.Rejects(repeated, joint), Is.True, "the test must see a dependence where there is one");
    }

    [Test]
    public void Sample_TheSameSeedAndPosition_IsTheSameTokenInAnyOrder()
    {
        var forwards = Make(new() { Temperature = 1 }, seed: 9);
        var backwards = Make(new() { Temperature = 1 }, seed: 9);

        var first = Enumerable.Range(0, 500).Select(position => Sample(forwards, position)).ToArray();
        var second = Enumerable.Range(0, 500).Reverse().Select(position => Sample(backwards, position)).Reverse().ToArray();

        Assert.That(second, Is.EqualTo(first));
    }

    [Test]
    public void Sample_AnotherSeed_IsAnotherText()
    {
        var texts = new ulong[] { 0, 1, ulong.MaxValue }.Select(seed =>
        {
            var sampler = Make(new() { Temperature = 1 }, seed);
            return string.Join(',', Enumerable.Range(0, 100).Select(position => Sample(sampler, position)));
        });

        Assert.That(texts, Is.Unique);
    }

    [Test]
    public void Sample_Greedy_DependsOnNoSeed([Values(0ul, 1ul, 77ul)] ulong seed)
    {
        var sampler = Make(new() { Temperature = 0, TopK = 3, TopP = 0.2f }, seed);

        Assert.That(Sample(sampler, (long)seed), Is.EqualTo(Array.IndexOf(Logits, Logits.Max())));
    }

    [Test]
    public void Process_OnTheHotPath_AllocatesNothing([ValueSource(nameof(Options))] SamplingOptions options)
    {
        var sampler = Make(options with { LogitBias = new Dictionary<int, float> { [3] = 1 } }, seed: 5);
        var history = new TokenHistory(VocabSize, 1000, tracksTokens: true);
        Run(sampler, history);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(sampler, history);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    private static void Run(Sampler sampler, TokenHistory history)
    {
        history.Start(Prompt);
        for (var position = 3; position < 500; position++)
        {
            history.Push(sampler.Sample(Logits, history, position).Id);
            history.Push(1);
            history.Pop();
        }
    }

    private static (long[] Counts, double[] Probabilities) CountTokens(SamplingOptions options)
    {
        var sampler = Make(options, seed: 5);
        var counts = new long[VocabSize];
        for (var position = 0; position < Draws; position++)
        {
            counts[Sample(sampler, position)]++;
        }

        var distribution = new TokenDistribution(VocabSize);
        sampler.Process(Logits, History(), distribution);
        return (counts, [.. Enumerable.Range(0, VocabSize).Select(id => (double)distribution.Probability(id))]);
    }

    private static int Sample(Sampler sampler, long position) => sampler.Sample(Logits, History(), position).Id;

    private static Sampler Make(SamplingOptions options, ulong seed) => new(options, seed, new SamplerWorkspace(VocabSize));

    private static TokenHistory History()
    {
        var history = new TokenHistory(VocabSize, 8, tracksTokens: true);
        history.Start([0, 4]);
        history.Push(4);
        history.Push(6);
        return history;
    }
}
