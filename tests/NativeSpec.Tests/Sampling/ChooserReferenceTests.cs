using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>The whole of the processing against the same steps written plainly in double precision.</summary>
internal sealed class ChooserReferenceTests
{
    private const int VocabSize = 11;
    private static readonly int[] Prompt = [0, 3, 3, 7];
    private static readonly int[] Output = [3, 5, 5, 5, 9];

    [Test]
    public void Process_AllCombinationsOfOptions_AgreesWithDoublePrecision([Values(0, 0.3f, 1, 1.5f)] float temperature)
    {
        var random = new Random(8);
        foreach (var options in Combinations(temperature))
        {
            var logits = Enumerable.Range(0, VocabSize).Select(_ => (float)(6 * (random.NextDouble() - 0.5))).ToArray();
            var expected = Reference(logits, options);

            var actual = Process(logits, options);

            for (var id = 0; id < VocabSize; id++)
            {
                Assert.That(actual.Probability(id), Is.EqualTo(expected[id]).Within(2e-6), $"token {id} of {options}");
            }
        }
    }

    [Test]
    public void Process_HistoryWalkedDownAndBack_IsAsIfTheBranchHadNeverBeen()
    {
        var options = new SamplingOptions { RepetitionPenalty = 1.3f, PresencePenalty = 0.5f, FrequencyPenalty = 0.7f };
        var logits = Enumerable.Range(0, VocabSize).Select(i => (float)Math.Sin(i)).ToArray();
        var history = History(tracksTokens: true);
        var distribution = new TokenDistribution(VocabSize);
        var (chooser, rule) = (new Chooser(VocabSize), new SamplingRule(options, 1, VocabSize));
        chooser.Process(logits, history.Choice(rule), distribution);
        var before = distribution.Probabilities.ToArray();

        history.Push(1);
        history.Push(5);
        chooser.Process(logits, history.Choice(rule), distribution);
        Assert.That(distribution.Probabilities.ToArray(), Is.Not.EqualTo(before));
        history.Pop();
        history.Pop();
        chooser.Process(logits, history.Choice(rule), distribution);

        Assert.That(distribution.Probabilities.ToArray(), Is.EqualTo(before));
    }

    [TestCase(float.NaN, 0)]
    [TestCase(float.NaN, 1)]
    [TestCase(float.PositiveInfinity, 0)]
    [TestCase(float.PositiveInfinity, 1)]
    public void Process_OneLogitNotFinite_ThrowsAndNamesThePosition(float logit, float temperature)
    {
        for (var place = 0; place < 40; place++)
        {
            var logits = new float[40];
            logits[place] = logit;
            var history = new TokenHistory(40, 8, tracksTokens: false);
            history.Start([1, 2, 3]);
            var bias = new Dictionary<int, float> { [place] = -1 };
            foreach (var options in new SamplingOptions[] { new() { Temperature = temperature }, new() { Temperature = temperature, LogitBias = bias } })
            {
                var (chooser, rule) = (new Chooser(40), new SamplingRule(options, 1, 40));
                var processing = Assert.Throws<NonFiniteLogitsException>(() => chooser.Process(logits, history.Choice(rule), new TokenDistribution(40)));
                var choosing = Assert.Throws<NonFiniteLogitsException>(() => chooser.Choose(logits, history.Choice(rule)));
                Assert.That((processing!.Position, choosing!.Position), Is.EqualTo((3L, 3L)));
            }
        }
    }

    [Test]
    public void Process_AllLogitsMinusInfinity_Throws([Values(0, 1)] float temperature)
    {
        var logits = Enumerable.Repeat(float.NegativeInfinity, VocabSize).ToArray();

        Assert.That(() => Process(logits, new() { Temperature = temperature }), Throws.InstanceOf<NonFiniteLogitsException>());
    }

    /// <summary>The model's numbers are fine here: what a penalty carries beyond float32 stays at its end, and −∞ stays ruled out.</summary>
    [TestCase(float.Epsilon)]
    [TestCase(1e-38f)]
    [TestCase(float.MaxValue)]
    public void Choose_PenaltyThatOverflows_StillChoosesAmongWhatTheModelAllows(float repetition)
    {
        float[] logits = [20, -20, 5, float.NegativeInfinity, 0, 1, 2, 3, 4, float.NegativeInfinity, 6];
        foreach (var temperature in new[] { 0f, 1 })
        {
            var rule = new SamplingRule(new() { Temperature = temperature, RepetitionPenalty = repetition }, 3, VocabSize);
            var history = new TokenHistory(VocabSize, 16, tracksTokens: true);
            history.Start([0, 1, 3]);
            var distribution = new TokenDistribution(VocabSize);
            new Chooser(VocabSize).Process(logits, history.Choice(rule), distribution);

            var token = new Chooser(VocabSize).Choose(logits, history.Choice(rule));

            Assert.That(distribution.Probabilities.ToArray(), Has.All.Matches<float>(float.IsFinite));
            Assert.That(token, repetition < 1 ? Is.Zero : Is.Not.AnyOf(1, 3, 9));
        }
    }

    [TestCase(0)]
    [TestCase(1)]
    public void Choose_MaskThatLeavesNothing_SaysSo(float temperature)
    {
        float[] logits = [1, 2, float.NegativeInfinity];
        var (chooser, rule) = (new Chooser(3), new SamplingRule(new() { Temperature = temperature }, 0, 3));
        foreach (var mask in new uint[] { 0, 0b100 })
        {
            Assert.That(
                () => chooser.Choose(logits, new RowChoice { Rule = rule, Position = 7, Mask = new[] { mask } }),
                Throws.InvalidOperationException.With.Message.Contains("mask for position 7").And.Not.InstanceOf<NonFiniteLogitsException>());
            Assert.That(
                () => chooser.Process(logits, new RowChoice { Rule = rule, Position = 7, Mask = new[] { mask } }, new TokenDistribution(3)),
                Throws.InvalidOperationException.With.Message.Contains("mask for position 7"));
        }

        Assert.That(chooser.Choose(logits, new RowChoice { Rule = rule, Position = 7, Mask = new[] { 1u } }), Is.Zero);
    }

    [Test]
    public void Choose_MaskOfAnotherVocabulary_Throws()
    {
        var rule = new SamplingRule(new(), 0, 3);
        Assert.That(
            () => new Chooser(3).Choose(new float[3], new RowChoice { Rule = rule, Position = 0, Mask = new uint[2] }),
            Throws.ArgumentException.With.Message.Contains("1 words").And.Message.Contains("has 2"));
    }

    [Test]
    public void Process_HugeLogitsAndTinyTemperature_StaysFinite()
    {
        var logits = new float[VocabSize];
        (logits[2], logits[4]) = (3e38f, -3e38f);

        Assert.That(Process(logits, new() { Temperature = 1e-30f }).Probability(2), Is.EqualTo(1));
    }

    [Test]
    public void Choice_PenaltyWithoutTrackedTokens_Throws()
    {
        var rule = new SamplingRule(new() { PresencePenalty = 1 }, 1, VocabSize);

        Assert.That(
            () => History(tracksTokens: false).Choice(rule).Position,
            Throws.ArgumentException.With.Message.Contains("track"));
    }

    [Test]
    public void Choose_LogitsOfAnotherVocabulary_Throws()
    {
        Assert.That(
            () => new Chooser(VocabSize).Choose(new float[VocabSize + 1], History(tracksTokens: false).Choice(new SamplingRule(new(), 1, VocabSize))),
            Throws.ArgumentException.With.Message.Contains("12 logits"));
    }

    private static IEnumerable<SamplingOptions> Combinations(float temperature) =>
        from topK in new[] { 0, 1, 4 }
        from topP in new[] { 1, 0.9f, 0.5f }
        from minP in new[] { 0, 0.15f }
        from repetition in new[] { 1, 1.3f, 0.8f }
        from presence in new[] { 0, 0.5f, -0.5f }
        from frequency in new[] { 0, 0.7f }
        from biased in new[] { false, true }
        select new SamplingOptions
        {
            Temperature = temperature,
            TopK = topK,
            TopP = topP,
            MinP = minP,
            RepetitionPenalty = repetition,
            PresencePenalty = presence,
            FrequencyPenalty = frequency,
            LogitBias = biased ? new Dictionary<int, float> { [2] = 1.5f, [5] = -100, [9] = 0.25f } : null,
        };

    private static double[] Reference(float[] logits, SamplingOptions options)
    {
        var scores = logits.Select(logit => (double)logit).ToArray();
        foreach (var token in Prompt.Concat(Output).Distinct())
        {
            scores[token] = scores[token] < 0 ? scores[token] * options.RepetitionPenalty!.Value : scores[token] / options.RepetitionPenalty!.Value;
        }

        foreach (var token in Output)
        {
            scores[token] -= options.FrequencyPenalty;
        }

        foreach (var token in Output.Distinct())
        {
            scores[token] -= options.PresencePenalty;
        }

        foreach (var (token, bias) in options.LogitBias ?? new Dictionary<int, float>())
        {
            scores[token] += bias;
        }

        if (options.Temperature == 0)
        {
            return [.. scores.Select((_, id) => id == Array.IndexOf(scores, scores.Max()) ? 1.0 : 0)];
        }

        var probabilities = Normalised(scores.Select(score => Math.Exp((score - scores.Max()) / options.Temperature!.Value)));
        if (options.TopK > 0)
        {
            var kept = scores.OrderDescending().ElementAt(options.TopK.Value - 1);
            probabilities = Normalised(probabilities.Select((p, id) => scores[id] >= kept ? p : 0));
        }

        if (options.TopP < 1)
        {
            var nucleus = probabilities;
            probabilities = Normalised(nucleus.Select(p => nucleus.Where(other => other > p).Sum() < options.TopP ? p : 0));
        }

        var bound = options.MinP!.Value * probabilities.Max();
        return Normalised(probabilities.Select(p => p >= bound ? p : 0));
    }

    private static double[] Normalised(IEnumerable<double> weights)
    {
        var array = weights.ToArray();
        return [.. array.Select(weight => weight / array.Sum())];
    }

    private static TokenHistory History(bool tracksTokens)
    {
        var history = new TokenHistory(VocabSize, 20, tracksTokens);
        history.Start(Prompt);
        foreach (var token in Output)
        {
            history.Push(token);
        }

        return history;
    }

    private static TokenDistribution Process(float[] logits, SamplingOptions options)
    {
        var distribution = new TokenDistribution(VocabSize);
        var rule = new SamplingRule(options, 0, VocabSize);
        new Chooser(VocabSize).Process(logits, History(rule.NeedsHistory).Choice(rule), distribution);
        return distribution;
    }
}
