using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>What one way to speculate did on all prompts.</summary>
/// <param name="Name">Its name on the command line.</param>
internal sealed record MethodResult(string Name)
{
    /// <summary>For each prompt, its speed divided by plain decoding's.</summary>
    public List<double> Ratios { get; } = [];

    /// <summary>For each prompt, tokens per second.</summary>
    public List<double> Speeds { get; } = [];

    /// <summary>For each prompt, the share of the time that no forward of the target took.</summary>
    public List<double> OutsideForwards { get; } = [];

    /// <summary>For each prompt, the statistics.</summary>
    public List<SpeculationStats> Stats { get; } = [];

    /// <summary>Numbers of the prompts whose text was not the plain one.</summary>
    public List<int> Different { get; } = [];

    public double TokensPerRound => (double)Stats.Sum(s => s.Emitted) / Stats.Sum(s => s.Rounds);

    public double AcceptanceRate => Stats.Sum(s => s.Drafted) is var drafted and > 0 ? (double)Stats.Sum(s => s.Accepted) / drafted : 0;

    /// <summary>Each drafter's share in all texts.</summary>
    public IEnumerable<DrafterStats> Drafters => Stats.SelectMany(s => s.Drafters).GroupBy(d => d.Name).Select(SpeculationReport.Sum);
}

/// <summary>Plain decoding and ways to speculate on the same prompts, prompt by prompt, so that whatever else the machine does meets all of
/// them alike. Each has an engine of its own: some drafters remember texts, and what one method has seen is no merit of another.</summary>
/// <param name="engine">Decodes plainly; stays the caller's.</param>
/// <param name="load">Loads an engine for a method.</param>
/// <param name="options">What all requests ask for.</param>
/// <param name="methods">The methods' names.</param>
internal sealed class SpeculationBenchmark(InferenceEngine engine, Func<InferenceEngine> load, GenerationOptions options, IReadOnlyList<string> methods) : IDisposable
{
    private const int WarmUpTokens = 24;

    /// <summary>Methods whose drafter knows the plain text: always wrong, or wrong until the output's middle.</summary>
    private static readonly string[] Replays = ["never", "returns"];

    private readonly List<InferenceEngine> _engines = []; // of the methods, loaded when they warm up

    /// <summary>Tokens per second of plain decoding, for each prompt.</summary>
    public List<double> PlainSpeeds { get; } = [];

    /// <summary>For each prompt, the share of plain decoding's time that no forward took: sampling, scheduling, releasing text.</summary>
    public List<double> PlainOutsideForwards { get; } = [];

    /// <summary>The methods' results.</summary>
    public IReadOnlyList<MethodResult> Results { get; } = [.. methods.Select(name => new MethodResult(name))];

    /// <summary>Texts that were compared: prompts that wrote more than one token.</summary>
    public int Compared => PlainSpeeds.Count;

    /// <summary>What a method's name asks for: auto, unplanned, a drafter, or DRAFTER:unplanned; never and returns follow cost with a
    /// drafter that <see cref="RunAsync"/> adds.</summary>
    /// <exception cref="UsageException">There is no such method.</exception>
    public static SpeculationOptions OptionsOf(string method, IReadOnlyCollection<string> drafters, int maxNodes)
    {
        if (Replays.Contains(method))
        {
            return new SpeculationOptions { Drafters = [], MaxNodes = maxNodes };
        }

        var parts = method.Split(':');
        if (method is "auto" or "unplanned")
        {
            return SpeculationOptions.Auto with { Unplanned = method != "auto", MaxNodes = maxNodes };
        }

        return drafters.Contains(parts[0]) && (parts.Length == 1 || (parts.Length == 2 && parts[1] == "unplanned"))
            ? new SpeculationOptions { Drafters = [parts[0]], Unplanned = parts.Length > 1, MaxNodes = maxNodes }
            : throw new UsageException($"--methods: there is no '{method}'; expected auto, unplanned, never, returns, or one of {string.Join(", ", drafters)}, with :unplanned or without");
    }

    /// <summary>Whether a method's drafter knows the plain text.</summary>
    public static bool IsReplay(string method) => Replays.Contains(method);

    /// <summary>Lets every method write a little, so that the first prompt does not pay for what comes with the first call.</summary>
    public async Task WarmUpAsync(int[] prompt, int maxNodes, CancellationToken cancellationToken)
    {
        var request = options with { MaxTokens = WarmUpTokens, Seed = 0 };
        await engine.WarmUpAsync(cancellationToken).ConfigureAwait(false);
        await engine.CompleteAsync(prompt, request with { Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false);
        foreach (var name in methods)
        {
            _engines.Add(load());
            await _engines[^1].CompleteAsync(prompt, request with { Speculation = OptionsOf(name, engine.Drafters, maxNodes) }, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Unloads the methods' engines.</summary>
    public void Dispose() => _engines.ForEach(method => method.Dispose());

    /// <summary>Runs all methods on a prompt.</summary>
    public async Task RunAsync(int number, int[] prompt, int maxNodes, CancellationToken cancellationToken)
    {
        var request = options with { Seed = (ulong)number };
        var known = methods.Any(Replays.Contains)
            ? (await engine.CompleteAsync(prompt, request with { Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false)).Ids
            : [];
        var results = new GenerationResult[methods.Count + 1]; // the last one plain
        for (var turn = 0; turn < results.Length; turn++)
        {
            var which = (turn + number) % results.Length; // nobody is always first
            var speculation = which == methods.Count ? SpeculationOptions.Off : OptionsOf(methods[which], engine.Drafters, maxNodes);
            if (which < methods.Count && Replays.Contains(methods[which]))
            {
                var rightFrom = prompt.Length + (methods[which] == "never" ? known.Count : known.Count / 2);
                speculation = speculation with { Sources = [new ReplayDrafter(methods[which], [.. prompt, .. known], rightFrom, engine.Config.VocabSize)] };
            }

            var writer = which == methods.Count ? engine : _engines[which];
            results[which] = await writer.CompleteAsync(prompt, request with { Speculation = speculation }, cancellationToken).ConfigureAwait(false);
        }

        if (results[^1].Ids.Count < 2)
        {
            return; // nothing to time
        }

        var plain = new GenerationSpeed(results[^1]).PredictedPerSecond;
        PlainSpeeds.Add(plain);
        PlainOutsideForwards.Add(OutsideForwards(results[^1]));
        for (var i = 0; i < methods.Count; i++)
        {
            var speed = new GenerationSpeed(results[i]).PredictedPerSecond;
            Results[i].Speeds.Add(speed);
            Results[i].Ratios.Add(speed / plain);
            Results[i].OutsideForwards.Add(OutsideForwards(results[i]));
            Results[i].Stats.Add(results[i].Speculation);
            if (!results[i].Ids.SequenceEqual(results[^1].Ids))
            {
                Results[i].Different.Add(number);
            }
        }
    }

    private static double OutsideForwards(GenerationResult result) => 1 - (result.Speculation.VerifyTime / result.Timings.Decode);
}

/// <summary>The middle of measurements and the bounds of their middle half.</summary>
internal readonly record struct Quartiles(double Lower, double Median, double Upper)
{
    /// <summary>With straight lines between neighbours in order.</summary>
    public static Quartiles Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return new Quartiles(At(0.25), At(0.5), At(0.75));

        double At(double share)
        {
            var (at, fraction) = ((int)(share * (sorted.Length - 1)), share * (sorted.Length - 1) % 1);
            return sorted.Length == 0 ? double.NaN : sorted[at] + (fraction * (sorted[Math.Min(at + 1, sorted.Length - 1)] - sorted[at]));
        }
    }
}
