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
internal sealed record TunedDrafter(
    string Name, string? Path, double SpeedUp, double TokensPerRound, double CostRatio, double[] AcceptedPerRound, int? Depth, int? Width)
{
    /// <summary>An expected gain below one in a hundred is not worth the doubt.</summary>
    private const double LeastSpeedUp = 1.01;

    /// <summary>Whether it is expected to make text faster.</summary>
    public bool Gains => SpeedUp >= LeastSpeedUp;

    /// <summary>The figures in words.</summary>
    public string Explain(bool pays) => string.Create(CultureInfo.InvariantCulture,
        $"{TokensPerRound:0.00} tokens a round{(Depth is null ? "" : $" with {Depth} levels of {Width}")}, {CostRatio:0.00} of a forward for each {(Depth is null ? "round" : "level")} of drafting: expected × {SpeedUp:0.00}; {Verdict(pays)}");

    private string Verdict(bool pays) => pays ? "pays" : Gains ? "another draft model gains more" : "does not pay";
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
        var drafter = SpeculationReport.Sum(texts.Select(stats => stats.Drafters.Single()));
        double[] accepted = [.. drafter.AcceptedPerPosition.Select(count => (double)count / Math.Max(drafter.Rounds, 1))];
        var level = drafter.Time.TotalSeconds / Math.Max(drafter.Rounds, 1) / MeasuredDepth;
        var one = Seconds(engine, 1, prompts);
        var best = new TunedDrafter(name, draftModels[number], 0, 0, level / one, accepted, 1, width);
        for (var depth = 1; depth <= MeasuredDepth; depth++)
        {
            var tokens = 1 + accepted.Take(depth).Sum();
            var speedUp = tokens * one / (Seconds(engine, 1 + (depth * width), prompts) + (depth * level));
            best = speedUp > best.SpeedUp ? best with { SpeedUp = speedUp, TokensPerRound = tokens, Depth = depth } : best;
        }

        return best;
    }

    /// <summary>Any other drafter, as the planner uses it when it is alone.</summary>
    public async Task<TunedDrafter> OtherAsync(InferenceEngine engine, string name, IReadOnlyList<int[]> prompts, CancellationToken cancellationToken)
    {
        var texts = await RunAsync(engine, new SpeculationOptions { Drafters = [name] }, prompts, cancellationToken).ConfigureAwait(false);
        double rounds = Math.Max(texts.Sum(stats => stats.Rounds), 1);
        var one = Seconds(engine, 1, prompts);
        var tokens = texts.Sum(stats => stats.Emitted) / rounds;
        var overhead = texts.Sum(stats => (stats.DraftTime + stats.PlanTime).TotalSeconds) / rounds;
        var forward = Seconds(engine, 1 + (int)Math.Round(texts.Sum(stats => stats.Drafted + stats.Probes) / rounds), prompts);
        var drafter = SpeculationReport.Sum(texts.Select(stats => stats.Drafters.Single()));
        return new TunedDrafter(name, null, tokens * one / (forward + overhead), tokens, overhead / one, [.. drafter.AcceptedPerPosition.Select(count => count / rounds)], null, null);
    }

    /// <summary>What to note: every drafter that gains, but of the draft models the one that gains most.</summary>
    public static IReadOnlyList<(TunedDrafter Drafter, DrafterTuning Tuning)> Decide(IReadOnlyList<TunedDrafter> all)
    {
        var best = all.Where(drafter => drafter.Path is not null).MaxBy(drafter => drafter.SpeedUp);
        return [.. all.Select(drafter => (drafter, new DrafterTuning(drafter.Name, drafter.Gains && (drafter.Path is null || drafter == best), drafter.Depth, drafter.Width)))];
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
