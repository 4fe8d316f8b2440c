using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>What is wrong with the choice, in a control that must fail.</summary>
public enum ChoiceFault
{
    None,
    NoiseSharedBetweenIds,
    NoiseSharedBetweenPositions,
    LogisticNoise,
    TemperatureIgnored,
    FiltersIgnored,
    PenaltiesIgnored,
    CoarseNoise,
}

/// <summary>What is chosen over many positions follows the distribution, and depends on (seed, position) alone.</summary>
internal sealed class ChooserLawTests
{
    private const int VocabSize = 12;
    private const int Draws = 60_000;

    private static readonly int[] Prompt = [1, 2, 3];
    private static readonly float[] Logits = [.. Enumerable.Range(0, VocabSize).Select(i => (float)(2 * Math.Sin(i * 1.7)))];

    private static readonly Chooser Shared = new(VocabSize);
    private static readonly TokenHistory Text = History();

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
    public void Choose_ManyPositions_FollowsTheDistribution(SamplingOptions options)
    {
        var (counts, probabilities) = CountTokens(options);

        Assert.That(ChiSquare.Rejects(counts, probabilities), Is.False);
    }

    [TestCaseSource(nameof(Options))]
    public void Choose_ManySeeds_FollowsTheDistribution(SamplingOptions options)
    {
        var counts = new long[VocabSize];
        for (var seed = 0; seed < Draws; seed++)
        {
            counts[Sample(Make(options, (ulong)seed), 17)]++;
        }

        Assert.That(ChiSquare.Rejects(counts, Probabilities(options)), Is.False);
    }

    /// <summary>The arg-max written plainly, with room for one fault. Without one it is the chooser's, token for token; with one the law is lost.</summary>
    [Test]
    public void Choose_AgainstFaultyChoosers_TheTestSeesEachFault([Values] ChoiceFault fault)
    {
        var options = new SamplingOptions { Temperature = 1.3f, TopK = 9, MinP = 0.01f, RepetitionPenalty = 1.3f, PresencePenalty = 0.4f };
        var rule = Make(options, seed: 5);
        var counts = new long[VocabSize];
        for (var position = 0; position < Draws; position++)
        {
            var token = Plainly(options, position, fault);
            counts[token]++;
            if (fault == ChoiceFault.None && position < 5000)
            {
                Assert.That(token, Is.EqualTo(Sample(rule, position)));
            }
        }

        Assert.That(ChiSquare.Rejects(counts, Probabilities(options)), Is.EqualTo(fault != ChoiceFault.None));
    }

    [Test]
    public void Choose_NeighbouringSeeds_AreIndependent()
    {
        var single = Probabilities(new() { Temperature = 1 });
        var joint = new double[VocabSize * VocabSize];
        for (var i = 0; i < joint.Length; i++)
        {
            joint[i] = single[i / VocabSize] * single[i % VocabSize];
        }

        var pairs = new long[joint.Length];
        for (var seed = 0; seed < 2 * Draws; seed += 2)
        {
            pairs[(Sample(Make(new() { Temperature = 1 }, (ulong)seed), 3) * VocabSize) + Sample(Make(new() { Temperature = 1 }, (ulong)seed + 1), 3)]++;
        }

        Assert.That(ChiSquare.Rejects(pairs, joint), Is.False);
    }

    [Test]
    public void Choose_NeighbouringPositions_AreIndependent()
    {
        var rule = Make(new() { Temperature = 1 }, seed: 5);
        var (_, single) = CountTokens(new() { Temperature = 1 });
        var joint = new double[VocabSize * VocabSize];
        var (pairs, repeated) = (new long[joint.Length], new long[joint.Length]);
        for (var i = 0; i < joint.Length; i++)
        {
            joint[i] = single[i / VocabSize] * single[i % VocabSize];
        }

        for (var position = 0; position < 2 * Draws; position += 2)
        {
            var first = Sample(rule, position);
            pairs[(first * VocabSize) + Sample(rule, position + 1)]++;
            repeated[(first * VocabSize) + Sample(rule, position)]++;
        }

        Assert.That(ChiSquare.Rejects(pairs, joint), Is.False);
        Assert.That(ChiSquare.Rejects(repeated, joint), Is.True, "the test must see a dependence where there is one");
    }

    [Test]
    public void Choose_TheSameSeedAndPosition_IsTheSameTokenInAnyOrder()
    {
        var forwards = Make(new() { Temperature = 1 }, seed: 9);
        var backwards = Make(new() { Temperature = 1 }, seed: 9);

        var first = Enumerable.Range(0, 500).Select(position => Sample(forwards, position)).ToArray();
        var second = Enumerable.Range(0, 500).Reverse().Select(position => Sample(backwards, position)).Reverse().ToArray();

        Assert.That(second, Is.EqualTo(first));
    }

    [Test]
    public void Choose_AnotherSeed_IsAnotherText()
    {
        var texts = new ulong[] { 0, 1, ulong.MaxValue }.Select(seed =>
        {
            var rule = Make(new() { Temperature = 1 }, seed);
            return string.Join(',', Enumerable.Range(0, 100).Select(position => Sample(rule, position)));
        });

        Assert.That(texts, Is.Unique);
    }

    [Test]
    public void Choose_Greedy_DependsOnNoSeed([Values(0ul, 1ul, 77ul)] ulong seed)
    {
        var rule = Make(new() { Temperature = 0, TopK = 3, TopP = 0.2f }, seed);

        Assert.That(Sample(rule, (long)seed), Is.EqualTo(Array.IndexOf(Logits, Logits.Max())));
    }

    [Test]
    public void Choose_OnTheHotPath_AllocatesNothing([ValueSource(nameof(Options))] SamplingOptions options)
    {
        var (chooser, rule) = (new Chooser(VocabSize), Make(options with { LogitBias = new Dictionary<int, float> { [3] = 1 } }, seed: 5));
        var history = new TokenHistory(VocabSize, 1000, tracksTokens: true);
        Run(chooser, rule, history);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(chooser, rule, history);

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    private static void Run(Chooser chooser, SamplingRule rule, TokenHistory history)
    {
        history.Start(Prompt);
        for (var position = 3; position < 500; position++)
        {
            history.Push(chooser.Choose(Logits, history.Choice(rule)));
            history.Push(1);
            history.Pop();
        }
    }

    private static (long[] Counts, double[] Probabilities) CountTokens(SamplingOptions options)
    {
        var rule = Make(options, seed: 5);
        var counts = new long[VocabSize];
        for (var position = 0; position < Draws; position++)
        {
            counts[Sample(rule, position)]++;
        }

        var distribution = new TokenDistribution(VocabSize);
        new Chooser(VocabSize).Process(Logits, History().Choice(rule), distribution);
        return (counts, [.. Enumerable.Range(0, VocabSize).Select(id => (double)distribution.Probability(id))]);
    }

    private static int Plainly(SamplingOptions options, int position, ChoiceFault fault)
    {
        options = fault switch
        {
            ChoiceFault.TemperatureIgnored => options with { Temperature = 1 },
            ChoiceFault.FiltersIgnored => options with { TopK = 0, MinP = 0 },
            ChoiceFault.PenaltiesIgnored => options with { RepetitionPenalty = 1, PresencePenalty = 0 },
            _ => options,
        };
        var kept = Distribution(options);
        var scores = Logits.ToArray();
        Penalties.Apply(scores, Text.Choice(Make(options, 5)));
        var (best, token) = (double.NegativeInfinity, -1);
        foreach (var id in kept.Ids)
        {
            var noise = GumbelNoise.Of(
                5, fault == ChoiceFault.NoiseSharedBetweenPositions ? position % 3 : position, fault == ChoiceFault.NoiseSharedBetweenIds ? id / 2 : id);
            var u = Math.Exp(-Math.Exp(-noise));
            noise = fault switch
            {
                ChoiceFault.LogisticNoise => Math.Log(u / (1 - u)),
                ChoiceFault.CoarseNoise => -Math.Log(-Math.Log((Math.Floor(u * 16) + 0.5) / 16)),
                _ => noise,
            };
            var sum = ((scores[id] - scores.Max()) / options.Temperature!.Value) + noise;
            (best, token) = sum > best ? (sum, id) : (best, token);
        }

        return token;
    }

    private static double[] Probabilities(SamplingOptions options)
    {
        var distribution = Distribution(options);
        return [.. Enumerable.Range(0, VocabSize).Select(id => (double)distribution.Probability(id))];
    }

    private static TokenDistribution Distribution(SamplingOptions options)
    {
        var distribution = new TokenDistribution(VocabSize);
        Shared.Process(Logits, Text.Choice(Make(options, 5)), distribution);
        return distribution;
    }

    private static int Sample(SamplingRule rule, long position)
        => Shared.Choose(Logits, new RowChoice { Rule = rule, Position = position, Seen = Text.Seen });

    private static SamplingRule Make(SamplingOptions options, ulong seed) => new(options, seed, VocabSize);

    private static TokenHistory History()
    {
        var history = new TokenHistory(VocabSize, 8, tracksTokens: true);
        history.Start([0, 4]);
        history.Push(4);
        history.Push(6);
        return history;
    }
}
