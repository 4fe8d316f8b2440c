using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What all requests of an engine share: its drafters, what is known about their acceptance and this machine's costs, the planner
/// and the verifier. Used by the engine's thread.</summary>
internal sealed class SpeculationCore
{
    private const int MostDrafters = 32;
    private const double RateLearning = 0.05;
    private const double MostOfUsual = 4;

    private readonly IReadOnlyList<IDrafterSource> _sources;
    private readonly List<string> _names = [];
    private readonly Dictionary<(uint Set, int Number), DrafterControl> _controls = [];
    private double _tokens;  // of a round, on average
    private double _seconds; // of a round, on average

    public SpeculationCore(IReadOnlyList<IDrafterSource> sources, CostCurve cost, int vocabSize, int maxNodes, TimeProvider? clock = null)
    {
        _sources = sources;
        Clock = clock ?? TimeProvider.System;
        Cost = cost;
        VocabSize = vocabSize;
        MaxNodes = maxNodes;
        Planner = new Planner(maxNodes);
        Verifier = new Verifier(vocabSize);
        foreach (var source in sources)
        {
            Number(source.Name);
        }
    }

    /// <summary>Names of the engine's drafters.</summary>
    public IReadOnlyCollection<string> Names => [.. _sources.Select(source => source.Name)];

    /// <summary>What drafting and rounds are timed by.</summary>
    public TimeProvider Clock { get; }

    /// <summary>Names of drafters that do not pay here, by measurement: requests that follow cost use them only when they name them.</summary>
    public IReadOnlySet<string> NotWorthwhile { get; init; } = new HashSet<string>();

    public CostCurve Cost { get; }

    public int VocabSize { get; }

    /// <summary>Most nodes of all sequences in a round.</summary>
    public int MaxNodes { get; }

    public Planner Planner { get; }

    public Verifier Verifier { get; }

    /// <summary>What is known of each drafter's proposals by themselves.</summary>
    public AcceptanceEstimates Estimates { get; } = new(MostDrafters);

    /// <summary>What is known of nodes that several drafters speak of.</summary>
    public JointEstimates Joint { get; } = new(MostDrafters);

    /// <summary>Tokens per second of late, all sequences together; 0 before the first round.</summary>
    public double TokensPerSecond => _seconds == 0 ? 0 : _tokens / _seconds;

    /// <summary>The drafters of a request in the order of their turns, with the numbers under which their acceptance is known.</summary>
    public IReadOnlyList<(int Number, IDrafterSource Source)> Select(SpeculationOptions options)
        => [.. SourcesOf(options).OrderBy(source => KindOf(source, options)).Select(source => (Number(source.Name), source))];

    /// <summary>What a source's drafters propose from when they serve a request with these options.</summary>
    public static DraftKind KindOf(IDrafterSource source, SpeculationOptions options)
        => source.Kind == DraftKind.Sampled && !options.SampleDrafts ? DraftKind.Computed : source.Kind;

    /// <summary>Most nodes that a request with these options computes in a round. Safe to ask from any thread.</summary>
    public int MaxNodesOf(SpeculationOptions options) => SourcesOf(options).Any() ? Math.Min(MaxNodes, options.MaxNodes + 1) : 1;

    /// <summary>Where a new request begins with a drafter: at what the last one with the same drafters found out. What one is worth depends
    /// on who proposes besides.</summary>
    /// <param name="set">The request's drafters: a bit for each number.</param>
    /// <param name="number">The drafter's.</param>
    public DrafterControl ControlOf(uint set, int number) => _controls.TryGetValue((set, number), out var control) ? control.Clone() : new DrafterControl();

    /// <summary>Keeps what a request has found out about a drafter.</summary>
    public void Remember(uint set, int number, DrafterControl control) => _controls[(set, number)] = control;

    /// <summary>Learns from a round. One that took many times longer than usual was disturbed, and counts as a slow one.</summary>
    public void ObserveRound(int nodes, int context, double forwardSeconds, double roundSeconds, int tokens)
    {
        Cost.Observe(nodes, context, forwardSeconds);
        var weight = _seconds == 0 ? 1 : RateLearning;
        _tokens += weight * (tokens - _tokens);
        _seconds += weight * ((_seconds == 0 ? roundSeconds : Math.Min(roundSeconds, MostOfUsual * _seconds)) - _seconds);
    }

    /// <summary>Drafters of one name share what is known; names past the most that are kept share the last number.</summary>
    public int Number(string name)
    {
        var number = _names.IndexOf(name);
        if (number < 0)
        {
            number = Math.Min(_names.Count, MostDrafters - 1);
            _names.Add(name);
        }

        return Math.Min(number, MostDrafters - 1);
    }

    private IEnumerable<IDrafterSource> SourcesOf(SpeculationOptions options)
        => _sources.Where(source => options.Drafters?.Contains(source.Name) ?? (options.Unplanned || !NotWorthwhile.Contains(source.Name)))
            .Concat(options.Sources);
}
