using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

internal sealed class SamplingOptionsTests
{
    private static IEnumerable<TestCaseData> Bad()
    {
        foreach (var value in new[] { float.NaN, -1e-9f, -1, float.NegativeInfinity, float.PositiveInfinity })
        {
            yield return new TestCaseData(new SamplingOptions { Temperature = value }, "Temperature");
            yield return new TestCaseData(new SamplingOptions { RepetitionPenalty = value }, "RepetitionPenalty");
            yield return new TestCaseData(new SamplingOptions { TopP = value }, "TopP");
            yield return new TestCaseData(new SamplingOptions { MinP = value }, "MinP");
        }

        foreach (var value in new[] { float.NaN, -2.001f, 2.001f, float.NegativeInfinity, float.PositiveInfinity })
        {
            yield return new TestCaseData(new SamplingOptions { PresencePenalty = value }, "PresencePenalty");
            yield return new TestCaseData(new SamplingOptions { FrequencyPenalty = value }, "FrequencyPenalty");
            yield return new TestCaseData(Biased(3, value * 50), "LogitBias[3]");
        }

        yield return new TestCaseData(new SamplingOptions { RepetitionPenalty = 0 }, "RepetitionPenalty");
        yield return new TestCaseData(new SamplingOptions { TopP = 2 }, "TopP");
        yield return new TestCaseData(new SamplingOptions { MinP = 1.01f }, "MinP");
        yield return new TestCaseData(new SamplingOptions { TopK = -1 }, "TopK");
        yield return new TestCaseData(new SamplingOptions { TopK = int.MinValue }, "TopK");
        yield return new TestCaseData(new SamplingOptions { TopLogProbs = -1 }, "TopLogProbs");
        yield return new TestCaseData(new SamplingOptions { TopLogProbs = 21 }, "TopLogProbs");
        yield return new TestCaseData(Biased(-1, 1), "LogitBias");
        yield return new TestCaseData(Biased(10, 1), "LogitBias");
    }

    [TestCaseSource(nameof(Bad))]
    public void Validate_ValueOutOfRange_NamesTheOption(SamplingOptions options, string option)
    {
        Assert.That(() => options.Validate(10), Throws.ArgumentException.With.Message.StartsWith(option + " is "));
    }

    [Test]
    public void Validate_ValueOutOfRange_SaysTheValueAndTheRange()
    {
        Assert.That(
            () => new SamplingOptions { TopP = 1.5f }.Validate(10),
            Throws.ArgumentException.With.Message.StartsWith("TopP is 1.5; it must be between 0 and 1"));
    }

    [Test]
    public void Validate_EdgesOfTheRanges_AreAllowed()
    {
        SamplingOptions[] edges =
        [
            new(),
            new() { Temperature = 0, TopK = 0, TopP = 1, MinP = 0, RepetitionPenalty = 1, PresencePenalty = -2, FrequencyPenalty = -2, TopLogProbs = 0, Seed = 0 },
            new() { Temperature = float.MaxValue, TopK = int.MaxValue, TopP = 0, MinP = 1, RepetitionPenalty = float.MaxValue },
            new() { PresencePenalty = 2, FrequencyPenalty = 2, TopLogProbs = 20, Seed = ulong.MaxValue },
            Biased(0, -100),
            Biased(9, 100),
        ];

        foreach (var options in edges)
        {
            Assert.That(() => options.Validate(10), Throws.Nothing);
        }
    }

    [Test]
    public void WithDefaults_FillsWhatIsOpenAndKeepsWhatIsSet()
    {
        var checkpoint = new SamplingOptions { Temperature = 0.6f, TopK = 40, TopP = 0.9f, MinP = 0.05f, RepetitionPenalty = 1.1f };

        var options = new SamplingOptions { Temperature = 0, TopP = 1, Seed = 3 }.WithDefaults(checkpoint);

        Assert.That(
            options,
            Is.EqualTo(new SamplingOptions { Temperature = 0, TopK = 40, TopP = 1, MinP = 0.05f, RepetitionPenalty = 1.1f, Seed = 3 }));
    }

    private static SamplingOptions Biased(int token, float bias) => new() { LogitBias = new Dictionary<int, float> { [token] = bias } };
}
