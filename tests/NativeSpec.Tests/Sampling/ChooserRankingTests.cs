using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>Top-k, top-p and min-p against their definition on a full stable sort: the same candidates, not nearly the same.</summary>
internal sealed class ChooserRankingTests
{
    [TestCase(4000, 1, 60, TestName = "Process_SmallVocabularies_KeepWhatTheSortKeeps")]
    [TestCase(150, 9000, 30_000, TestName = "Process_LargeVocabularies_KeepWhatTheSortKeeps")]
    public void Process_RandomLogitsWithManyTies_KeepsWhatTheSortKeeps(int rounds, int leastTokens, int mostTokens)
    {
        var random = new Random(6);
        for (var round = 0; round < rounds; round++)
        {
            var logits = RandomLogits(random, random.Next(leastTokens, mostTokens));
            var options = new SamplingOptions
            {
                Temperature = (float)Math.Exp(((round % 10 == 0 ? 30 : 3) * random.NextDouble()) - 2),
                TopK = random.Next(2) == 0 ? 0 : random.Next(logits.Length + 3),
                TopP = random.Next(3) == 0 ? random.Next(2) : Math.Max(0, 1 - (float)Math.Pow(random.NextDouble(), random.Next(1, 12))),
                MinP = random.Next(3) == 0 ? (float)random.NextDouble() : 0,
            };

            var actual = Process(logits, options);

            Assert.That(actual.Ids.SequenceEqual(KeptBySorting(logits, options)), $"round {round}, {logits.Length} tokens: {options}");
        }
    }

    [Test]
    public void Process_AllLogitsEqual_KeepsTheLowestIds()
    {
        Assert.That(Process(new float[1000], new() { TopK = 7 }).Ids.ToArray(), Is.EqualTo(Enumerable.Range(0, 7)));
        Assert.That(Process(new float[1000], new() { TopP = 0.25f }).Ids.ToArray(), Is.EqualTo(Enumerable.Range(0, 250)));
    }

    /// <summary>Hugging Face's generate keeps at least one token, and so must a checkpoint that recommends a top-p of 0.</summary>
    [Test]
    public void Process_TopPOfZero_KeepsTheMostLikelyTokenAlone()
    {
        Assert.That(Process([1, 3, 2, 3], new() { Temperature = 2, TopP = 0 }).Ids.ToArray(), Is.EqualTo(new[] { 1 }));
        Assert.That(Process([1, 3, 2, 3], new() { Temperature = 2, TopP = 0, TopK = 3, MinP = 0.1f }).Ids.ToArray(), Is.EqualTo(new[] { 1 }));
    }

    [Test]
    public void Process_BothZeros_AreOneScore()
    {
        Assert.That(Process([-1, -0f, 0f, -0f], new() { TopK = 2 }).Ids.ToArray(), Is.EqualTo(new[] { 1, 2 }));
        Assert.That(Process([-1, -0f, 0f, -0f], new() { Temperature = 0 }).Ids.ToArray(), Is.EqualTo(new[] { 1 }));
        Assert.That(Process([-1, 0f, -0f, 0f], new() { Temperature = 0 }).Ids.ToArray(), Is.EqualTo(new[] { 1 }));
    }

    [Test]
    public void Process_TheSameLogitsAnywhereInMemory_GiveTheSameBits()
    {
        var random = new Random(7);
        var memory = new float[4000];
        var logits = RandomLogits(random, 1003);
        var options = new SamplingOptions { Temperature = 0.8f, TopP = 0.95f };
        var expected = Process(logits, options).Probabilities.ToArray();
        for (var start = 0; start < 40; start++)
        {
            logits.CopyTo(memory.AsSpan(start));
            Assert.That(Process(memory.AsSpan(start, logits.Length), options).Probabilities.ToArray(), Is.EqualTo(expected));
        }
    }

    private static float[] RandomLogits(Random random, int count)
    {
        // Coarse steps make ties; now and then a wide spread, a flat row or tokens that are ruled out.
        var step = random.Next(4) switch { 0 => 0f, 1 => 0.5f, 2 => 1f / 64, _ => 1e-6f };
        var spread = random.Next(3) switch { 0 => 1, 1 => 8, _ => 60 };
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var logit = (float)((random.NextDouble() - 0.5) * spread);
            var stepped = step == 0 ? logit : MathF.Round(logit / step) * step;
            return i > 0 && random.Next(40) == 0 ? float.NegativeInfinity : stepped;
        })];
    }

    private static int[] KeptBySorting(float[] logits, SamplingOptions options)
    {
        var ranked = Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id] + 0f).ThenBy(id => id).ToArray();
        if (options.TopK > 0)
        {
            ranked = ranked[..Math.Min(options.TopK.Value, ranked.Length)];
        }

        var weights = new float[logits.Length];
        Softmax.Weights(logits, logits.Max(), options.Temperature!.Value, weights);
        var total = ranked.Sum(id => RankSelection.MassOf(weights[id]));
        var kept = new List<int>();
        var before = 0.0;
        foreach (var id in ranked)
        {
            if (options.TopP < 1 && kept.Count > 0 && before >= (double)options.TopP.Value * total)
            {
                break;
            }

            before += RankSelection.MassOf(weights[id]);
            if (weights[id] >= options.MinP)
            {
                kept.Add(id);
            }
        }

        return [.. kept.Order()];
    }

    private static TokenDistribution Process(ReadOnlySpan<float> logits, SamplingOptions options)
    {
        var distribution = new TokenDistribution(logits.Length);
        var history = new TokenHistory(logits.Length, 0, tracksTokens: false);
        new Chooser(logits.Length).Process(logits, history.Choice(new SamplingRule(options, 0, logits.Length)), distribution);
        return distribution;
    }
}
