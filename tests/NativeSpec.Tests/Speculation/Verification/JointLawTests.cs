using NativeSpec.Sampling;
using NativeSpec.Tests.Sampling;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>The joint law of several tokens, by chi-square with a false-fail rate of 1e-9: exact enumeration reaches vocabularies of five,
/// this one fifty, with every filter, and through the random numbers of production.</summary>
public sealed class JointLawTests
{
    private const int Seeds = 40_000;
    private const double LeastExpected = 10;

    private static readonly SamplingOptions Filtered = new()
    {
        TopK = 9,
        TopP = 0.95f,
        MinP = 0.02f,
        RepetitionPenalty = 1.2f,
        PresencePenalty = 0.3f,
        FrequencyPenalty = 0.2f,
    };

    [Test, Pairwise]
    public void Walk_OverCertainAndDrawnChildren_HasThePlainLaw(
        [Values(0.3f, 1f, 1.5f)] float temperature, [Values] bool filtered, [Values(10, 50)] int vocab)
        => Assert.That(Rejects(vocab, temperature, filtered, WalkFault.None), Is.False);

    [Test]
    public void Walk_WithAFault_IsFound([Values(WalkFault.DraftOfAnotherTemperature, WalkFault.DroppedResidual)] WalkFault fault, [Values] bool filtered)
        => Assert.That(Rejects(10, 1, filtered, fault), Is.True);

    /// <summary>Whether the counts of texts of three tokens (two with a large vocabulary) cannot have come from plain decoding; texts that are
    /// expected rarely are counted together, as the chi-square approximation asks for.</summary>
    private static bool Rejects(int vocab, float temperature, bool filtered, WalkFault fault)
    {
        var law = new JointLaw(vocab, vocab > 16 ? 2 : 3, (filtered ? Filtered : new SamplingOptions()) with { Temperature = temperature });
        var (exact, counts) = (law.Exact(), law.Count(Seeds, fault));
        List<(long Count, double Probability)> cells = [(0, 0)];
        for (var i = 0; i < exact.Length; i++)
        {
            if (exact[i] * Seeds >= LeastExpected)
            {
                cells.Add((counts[i], exact[i]));
            }
            else if (exact[i] > 0)
            {
                cells[0] = (cells[0].Count + counts[i], cells[0].Probability + exact[i]);
            }
            else if (counts[i] > 0)
            {
                return true; // an impossible text
            }
        }

        return ChiSquare.Rejects([.. cells.Select(cell => cell.Count)], [.. cells.Select(cell => cell.Probability)]);
    }
}
