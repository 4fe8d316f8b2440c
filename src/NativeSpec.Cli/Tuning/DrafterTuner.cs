using System.Globalization;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Tuning;

/// <summary>What was measured of one drafter, and what is expected from it.</summary>
/// <param name="Name">Its name in the engine.</param>
/// <param name="Path">A draft model's folder; null for others.</param>
/// <param name="SpeedUp">Expected tokens per second, divided by plain decoding's.</param>
/// <param name="TokensPerRound">Expected tokens per round.</param>
/// <param name="CostRatio">The drafter's time for a level of a draft model, or for a round of others, divided by T(1).</param>
/// <param name="AcceptedPerRound">[depth − 1] how many of its candidates are accepted at each depth, per round.</param>
/// <param name="Depth">The best path length of a draft model; null for others.</param>
/// <param name="Width">Its best number of nodes per depth; null for others.</param>
/// <param name="Rounds">Rounds that were measured.</param>
/// <param name="Agreement">The least and the most that one pass over the prompts would have found, as speed-ups.</param>
internal sealed record TunedDrafter(
    string Name, string? Path, double SpeedUp, double TokensPerRound, double CostRatio, double[] AcceptedPerRound, int? Depth, int? Width, int Rounds,
    (double Least, double Most) Agreement)
{
    /// <summary>An expected gain below one in a hundred is no gain.</summary>
    private const double Gain = 1.01;

    /// <summary>A loss of less than three in a hundred is in doubt: there the drafter's account decides, text by text, which costs less than a wrong
    /// verdict.</summary>
    private const double Loss = 0.97;

    /// <summary>Whether it is not expected to make text slower: both halves of the prompts would have to say so.</summary>
    public bool MayPay => Agreement.Most >= Loss;

    /// <summary>The figures in words.</summary>
    public string Explain(bool pays) => string.Create(CultureInfo.InvariantCulture,
        $"{TokensPerRound:0.00} tokens a round{(Depth is null ? "" : $" with {Depth} levels of {Width}")}, {CostRatio:0.00} of a forward for each {(Depth is null ? "round" : "level")} of drafting: expected × {SpeedUp:0.00} ({Agreement.Least:0.00} to {Agreement.Most:0.00}); {Verdict(pays)}");

    private string Verdict(bool pays) => pays ? (SpeedUp >= Gain ? "pays" : "may pay: its account decides") : MayPay ? "another draft model gains more" : "does not pay";
}

/// <summary>Measures how often drafters are right and what they cost, and works out what that gives on this machine's cost curve.</summary>
internal sealed class DrafterTuner(GenerationOptions options, IReadOnlyList<string> draftModels)
{
    /// <summary>Levels that draft models draft while they are measured.</summary>
    public const int MeasuredDepth = 8;

    /// <summary>Numbers of nodes per level that draft models are measured with.</summary>
    public static readonly int[] Widths = [1, 2, 4];

    /// <summary>A draft model with paths of <see cref="MeasuredDepth"/>: each shorter one is a part of what was measured, because a level
    /// does not depend on those below it.</summary>
    /// <remarks>With k levels of w nodes, a round yields 1 + Σ a(d), d ≤ k, tokens in T(1 + k·w) + k·t, where a(d) is how many candidates
    /// of depth d are accepted per round and t what a level of drafting takes; plain decoding yields 1 in T(1).</remarks>
    public async Task<TunedDrafter> DraftModelAsync(InferenceEngine engine, int number, int width, IReadOnlyList<int[]> prompts, CancellationToken cancellationToken)
    {
        var name = number == 0 ? "draft" : $"draft{number + 1}";
        var unplanned = new SpeculationOptions { Drafters = [name], MaxNodes = MeasuredDepth * width, Unplanned = true };
        var texts = await RunAsync(engine, unplanned, prompts, cancellationToken).ConfigureAwait(false);
        var level = Median(texts.Select(text => text.Drafters.Single().Time.TotalSeconds / Math.Max(text.Drafters.Single().Rounds, 1))) / MeasuredDepth;
        var one = Seconds(engine, 1, prompts);
        var accepted = Accepted(texts, drafter => drafter.Rounds);
        var depth = Enumerable.Range(1, MeasuredDepth).MaxBy(depth => SpeedUp(accepted, depth));
        return new TunedDrafter(
            name, draftModels[number], SpeedUp(accepted, depth), Tokens(accepted, depth), level / one, accepted, depth, width, texts.Sum(text => text.Rounds),
            Halves(texts, half => SpeedUp(Accepted(half, drafter => drafter.Rounds), depth)));

        double SpeedUp(double[] accepted, int depth) => Tokens(accepted, depth) * one / (Seconds(engine, 1 + (depth * width), prompts) + (depth * level));
        static double Tokens(double[] accepted, int depth) => 1 + accepted.Take(depth).Sum();
    }

    /// <summary>Any other drafter, as the planner uses it when it is alone.</summary>
    public async Task<TunedDrafter> OtherAsync(InferenceEngine engine, string name, IReadOnlyList<int[]> prompts, CancellationToken cancellationToken)
    {
        var texts = await RunAsync(engine, new SpeculationOptions { Drafters = [name] }, prompts, cancellationToken).ConfigureAwait(false);
        var one = Seconds(engine, 1, prompts);
        // The median of the texts: one that something else on the machine disturbed does not decide.
        var overhead = Median(texts.Select(text => (text.DraftTime + text.PlanTime).TotalSeconds / Math.Max(text.Rounds, 1)));
        return new TunedDrafter(
            name, null, SpeedUp(texts), Tokens(texts), overhead / one, Accepted(texts, _ => texts.Sum(text => text.Rounds)), null, null, texts.Sum(text => text.Rounds), Halves(texts, SpeedUp));

        double SpeedUp(IReadOnlyList<SpeculationStats> texts)
        {
            var nodes = 1 + (texts.Sum(text => text.Drafted + text.Probes) / (double)Math.Max(texts.Sum(text => text.Rounds), 1));
            var (few, more) = (Seconds(engine, (int)nodes, prompts), Seconds(engine, (int)nodes + 1, prompts));
            return Tokens(texts) * one / (few + ((more - few) * (nodes - (int)nodes)) + overhead);
        }

        static double Tokens(IReadOnlyList<SpeculationStats> texts) => texts.Sum(text => text.Emitted) / (double)Math.Max(texts.Sum(text => text.Rounds), 1);
    }

    /// <summary>What to note: every drafter that may gain, but of the draft models the one that gains most.</summary>
    public static IReadOnlyList<(TunedDrafter Drafter, DrafterTuning Tuning)> Decide(IReadOnlyList<TunedDrafter> all, DateTimeOffset now)
    {
        var best = all.Where(drafter => drafter.Path is not null).MaxBy(drafter => drafter.SpeedUp);
        return [.. all.Select(drafter => (drafter, new DrafterTuning(drafter.Name, drafter.MayPay && (drafter.Path is null || drafter == best), drafter.Depth, drafter.Width)
        {
            SpeedUp = drafter.SpeedUp,
            Rounds = drafter.Rounds,
            Measured = now,
        }))];
    }

    /// <summary>[depth − 1] candidates accepted per round.</summary>
    private static double[] Accepted(IReadOnlyList<SpeculationStats> texts, Func<DrafterStats, int> roundsOf)
    {
        var drafter = SpeculationReport.Sum(texts.Select(text => text.Drafters.Single()));
        double rounds = Math.Max(roundsOf(drafter), 1);
        return [.. drafter.AcceptedPerPosition.Select(count => count / rounds)];
    }

    /// <summary>What every other text says, and what the rest say: no text is written twice, because a drafter may remember it.</summary>
    private static (double Least, double Most) Halves(IReadOnlyList<SpeculationStats> texts, Func<IReadOnlyList<SpeculationStats>, double> speedUp)
    {
        double[] halves = [.. texts.Select((text, i) => (text, i)).GroupBy(text => text.i % 2).Select(half => speedUp([.. half.Select(text => text.text)]))];
        return (halves.Min(), halves.Max());
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>T(nodes) in the middle of an average text.</summary>
    private double Seconds(InferenceEngine engine, int nodes, IReadOnlyList<int[]> prompts)
        => engine.ForwardTime(nodes, (int)prompts.Average(prompt => prompt.Length) + (options.MaxTokens!.Value / 2)).TotalSeconds;

    private async Task<List<SpeculationStats>> RunAsync(InferenceEngine engine, SpeculationOptions speculation, IReadOnlyList<int[]> prompts, CancellationToken cancellationToken)
    {
        List<SpeculationStats> texts = [];
        for (var i = 0; i < prompts.Count; i++)
        {
            var result = await engine.CompleteAsync(prompts[i], options with { Seed = (ulong)i, Speculation = speculation }, cancellationToken).ConfigureAwait(false);
            texts.Add(result.Speculation);
        }

        return texts;
    }
}
