using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>The pruned search against looking at every token, bit for bit: the same formula over all ids.</summary>
internal sealed class GumbelMaxTests
{
    private const int Rounds = 1500;

    public static IEnumerable<TestCaseData> Widths() => GumbelNoiseTests.Widths();

    [TestCaseSource(nameof(Widths))]
    public void Find_RandomRows_IsTheArgMaxOverAllTokens(NoiseScan.Width scan) => Assert.That(CountFaults(scan, GumbelMax.DefaultSlack), Is.Zero);

    /// <summary>The control: a bound that is a tenth too sharp loses some winners.</summary>
    [TestCaseSource(nameof(Widths))]
    public void Find_BoundsTooSharp_AreNoticed(NoiseScan.Width scan) => Assert.That(CountFaults(scan, slack: 0.9), Is.Positive);

    /// <summary>All steps: the distribution's tokens are those that the filters keep, and one of them is chosen.</summary>
    [Test]
    public void Choose_AnyRule_IsTheArgMaxOverTheTokensOfTheDistribution()
    {
        var random = new Random(12);
        for (var round = 0; round < Rounds; round++)
        {
            var logits = RandomRow(random);
            var rule = new SamplingRule(RandomOptions(random, logits.Length), (ulong)random.NextInt64(), logits.Length);
            var history = new TokenHistory(logits.Length, 64, tracksTokens: true);
            history.Start([.. Enumerable.Range(0, 20).Select(_ => random.Next(logits.Length))]);
            history.Push(random.Next(logits.Length));
            var choice = history.Choice(rule, RandomMask(random, logits));
            var (chooser, distribution) = (new Chooser(logits.Length), new TokenDistribution(logits.Length));
            chooser.Process(logits, choice, distribution);
            var scores = logits.ToArray();
            Penalties.Apply(scores, choice);

            Assert.That(chooser.Choose(logits, choice), Is.EqualTo(ArgMax(scores, distribution.Ids, choice)), $"round {round}, {logits.Length} tokens");
        }
    }

    [Test]
    public void Choose_LargeVocabularyOneDecidedRow_IsTheArgMaxOverAllTokens()
    {
        var random = new Random(13);
        for (var round = 0; round < 20; round++)
        {
            var logits = Enumerable.Range(0, 128_256).Select(_ => (float)(8 * random.NextDouble() * random.NextDouble())).ToArray();
            logits[random.Next(logits.Length)] += 8;
            var rule = new SamplingRule(new() { Temperature = 1 }, (ulong)round, logits.Length);
            var choice = new RowChoice { Rule = rule, Position = 100 + round };

            Assert.That(new Chooser(logits.Length).Choose(logits, choice), Is.EqualTo(ArgMax(logits, [.. Enumerable.Range(0, logits.Length)], choice)));
        }
    }

    private static int CountFaults(NoiseScan.Width scan, double slack)
    {
        var (random, faults) = (new Random(11), 0);
        for (var round = 0; round < Rounds; round++)
        {
            var logits = RandomRow(random);
            var rule = new SamplingRule(new() { Temperature = (float)Math.Exp((4 * random.NextDouble()) - 2) }, (ulong)round, logits.Length);
            var choice = new RowChoice { Rule = rule, Position = random.Next(1000) };
            var maxima = new float[GumbelMax.BlocksOf(logits.Length)];
            LogitScan.BlockMaxima(logits, maxima);
            var kept = KeptTokens.Of(logits, RankCut.KeepAll, 0, maxima.Max(), rule.Temperature);

            var found = GumbelMax.Find(logits, maxima, choice, kept, new float[maxima.Length], scan, slack);

            faults += found == ArgMax(logits, [.. Enumerable.Range(0, logits.Length)], choice) ? 0 : 1;
        }

        return faults;
    }

    private static int ArgMax(ReadOnlySpan<float> scores, ReadOnlySpan<int> ids, in RowChoice choice)
    {
        var max = float.NegativeInfinity;
        foreach (var score in scores)
        {
            max = Math.Max(max, score);
        }

        var (best, bestId) = (double.NegativeInfinity, -1);
        foreach (var id in ids)
        {
            var sum = (((double)scores[id] - max) / choice.Rule.Temperature) + GumbelNoise.Of(choice.Rule.Seed, choice.Position, id);
            if (sum > best)
            {
                (best, bestId) = (sum, id);
            }
        }

        return bestId;
    }

    /// <summary>Flat, peaked, wide, stepped with ties, with tokens ruled out; from one token to several blocks, the last of them not full.</summary>
    private static float[] RandomRow(Random random)
    {
        var (count, kind) = (1 + random.Next(random.Next(2) == 0 ? 40 : 1500), random.Next(6));
        var row = Enumerable.Range(0, count).Select(i => (float)(kind switch
        {
            0 => 0,
            1 => random.NextDouble(),
            2 => 60 * (random.NextDouble() - 0.5),
            3 => Math.Round(6 * random.NextDouble()),
            4 => i > 0 && random.Next(3) == 0 ? double.NegativeInfinity : 5 * random.NextDouble(),
            _ => 1e30 * random.NextDouble(),
        })).ToArray();
        row[random.Next(count)] += random.Next(3) == 0 ? 10 : 0;
        return row;
    }

    private static SamplingOptions RandomOptions(Random random, int vocabSize) => new()
    {
        Temperature = (float)Math.Exp((4 * random.NextDouble()) - 2),
        TopK = random.Next(2) == 0 ? 0 : random.Next(vocabSize + 3),
        TopP = random.Next(3) == 0 ? random.Next(2) : (float)random.NextDouble(),
        MinP = random.Next(3) == 0 ? (float)random.NextDouble() : 0,
        RepetitionPenalty = random.Next(2) == 0 ? 1 : 1.3f,
        PresencePenalty = random.Next(2) == 0 ? 0 : 0.5f,
        FrequencyPenalty = random.Next(2) == 0 ? 0 : 0.25f,
        LogitBias = random.Next(2) == 0 ? null : new Dictionary<int, float> { [random.Next(vocabSize)] = 4, [vocabSize - 1] = -100 },
    };

    /// <summary>None, or about half of the tokens, among them one that the model allows.</summary>
    private static uint[] RandomMask(Random random, float[] logits)
    {
        var mask = random.Next(2) == 0 ? [] : new uint[(logits.Length + 31) / 32];
        for (var word = 0; word < mask.Length; word++)
        {
            mask[word] = (uint)random.NextInt64(1L << 32);
        }

        if (mask.Length > 0)
        {
            var allowed = Array.FindIndex(logits, float.IsFinite);
            mask[allowed / 32] |= 1u << (allowed % 32);
        }

        return mask;
    }
}
