using NativeSpec.Engine.Profiles;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>A cost curve that was measured on a busy machine, then 24 texts on a quiet one: from the fifth on they are written as fast as with
/// the true curve. In simulated time.</summary>
public sealed class DisturbedProfileTests
{
    private const double One = 0.010;
    private const double Node = 0.3 * One;
    private const int Tokens = 64;

    private static readonly int[] Sizes = [1, 2, 4, 8, 16, 32, 64];
    private static readonly int[] Prompts = [.. Enumerable.Range(1, 24)];
    private static readonly Lazy<int[][]> Texts = new(FindTexts);
    private static readonly Lazy<double> Quiet = new(() => Rate(null));

    [Test]
    public void Auto_WithACurveThatWasMeasuredOnABusyMachine_IsSoonAsFastAsWithTheTrueOne([Range(1, 8)] int seed)
    {
        var times = new SteadyTimes(Sizes, Busy(seed), budget: 3).Measure();
        var believed = new CostCurve(Sizes.AsSpan(0, times.Count), [0], times.Seconds, [.. times.Spread]);
        Assert.That(Rate(believed), Is.AtLeast(0.97 * Quiet.Value), $"measured [{string.Join(", ", times.Seconds.Select(s => $"{s / One:0.00}"))}]");
    }

    /// <summary>The fastest of three runs, whether they agree or not, and believed: without the bound of n forwards for n nodes speculation would not be tried for ever on some of these machines.</summary>
    [Test]
    public void Auto_WithTheFastestOfThreeRuns_IsSoonAsFastAsWithTheTrueOne([Range(1, 8)] int seed)
    {
        var busy = Busy(seed);
        Assert.That(Rate(new CostCurve(Sizes, [.. Sizes.Select(n => Enumerable.Range(0, 3).Min(_ => busy(n)))])), Is.AtLeast(0.97 * Quiet.Value));
    }

    /// <summary>The dearest curve that is believed at all: every node costs as much as the first.</summary>
    [Test]
    public void Auto_WithTheDearestCurveThatIsBelieved_IsSoonAsFastAsWithTheTrueOne()
    {
        Assert.That(Rate(new CostCurve(Sizes, [.. Sizes.Select(n => n * One)])), Is.AtLeast(0.97 * Quiet.Value));
        Assert.That(Quiet.Value, Is.GreaterThan(1.5 / One), "which is what the texts have by drafting: without it they would be slower than that");
    }

    /// <summary>Tokens per second of the texts from the fifth on, with a drafter that is mostly right.</summary>
    private static double Rate(CostCurve? believed)
    {
        var clock = new SimulatedClock();
        var drafter = new SimulatedDrafter(clock, 0.05 * One, confidence: 0.9f);
        using var rounds = new SimulatedRounds(clock, [drafter], One, Node, believed);
        List<double> seconds = [];
        for (var i = 0; i < Prompts.Length; i++)
        {
            drafter.Knows = Texts.Value[i];
            seconds.Add(1 / rounds.Write(Prompts[i], Tokens).Rate);
        }

        return 1 / seconds.Skip(4).Average();
    }

    private static int[][] FindTexts()
    {
        var clock = new SimulatedClock();
        using var rounds = new SimulatedRounds(clock, [], One, Node);
        return [.. Prompts.Select(prompt => rounds.Write(prompt, Tokens).Text)];
    }

    /// <summary>A neighbour comes and goes: for stretches of forwards each takes one to five times as long.</summary>
    private static Func<int, double> Busy(int seed)
    {
        var random = new Random(seed);
        var (left, factor) = (0, 1.0);
        return nodes =>
        {
            if (left-- == 0)
            {
                (left, factor) = (random.Next(1, 12), 1 + (4 * random.NextDouble()));
            }

            return (One + (Node * (nodes - 1))) * factor * (1 + (0.3 * random.NextDouble()));
        };
    }
}
