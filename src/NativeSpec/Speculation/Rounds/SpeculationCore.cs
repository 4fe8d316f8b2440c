using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What all requests of an engine share: its drafters, and what is known about their acceptance and this machine's costs. Used by the
/// engine's thread.</summary>
internal sealed class SpeculationCore
{
    private const int MostDrafters = 32;

    private readonly IReadOnlyList<IDrafterSource> _sources;
    private readonly DrafterNumbers _numbers;
    private readonly Dictionary<string, int> _own = [];
    private readonly Dictionary<(uint Set, int Number), DrafterAccount> _accounts = [];
    private SteadyMean _tokens;  // of a round
    private SteadyMean _seconds; // of a round

    public SpeculationCore(IReadOnlyList<IDrafterSource> sources, CostCurve cost, int vocabSize, int maxNodes, TimeProvider? clock = null)
    {
        _sources = sources;
        Clock = clock ?? TimeProvider.System;
        Cost = cost;
        VocabSize = vocabSize;
        MaxNodes = maxNodes;
        Gate = new SpeculationGate(cost, maxNodes);
        _numbers = new DrafterNumbers(MostDrafters, Forget);
        foreach (var source in sources)
        {
            _own[source.Name] = _numbers.Take(source.Name);
        }
    }

    /// <summary>Names of the engine's drafters.</summary>
    public IReadOnlyCollection<string> Names => _own.Keys;

    /// <summary>What drafting and rounds are timed by.</summary>
    public TimeProvider Clock { get; }

    /// <summary>Names of drafters that do not pay here, by measurement: requests that follow cost use them only when they name them.</summary>
    public IReadOnlySet<string> NotWorthwhile { get; init; } = new HashSet<string>();

    public CostCurve Cost { get; }

    public int VocabSize { get; }

    /// <summary>Most nodes of all sequences in a round.</summary>
    public int MaxNodes { get; }

    /// <summary>Whether drafting pays for requests that are served together.</summary>
    public SpeculationGate Gate { get; }

    /// <summary>What is known of each drafter's proposals by themselves.</summary>
    public AcceptanceEstimates Estimates { get; } = new(MostDrafters);

    /// <summary>What is known of nodes that several drafters speak of.</summary>
    public LogisticMixer Mixer { get; } = new(MostDrafters);

    /// <summary>Called after a round has been learnt from, on the engine's thread.</summary>
    public Action? RoundObserved { get; set; }

    /// <summary>Requests whose drafters are at work.</summary>
    public int Sequences { get; set; }

    /// <summary>Tokens per second of late, all sequences together; 0 before the first round.</summary>
    public double TokensPerSecond => _seconds.Value == 0 ? 0 : _tokens.Value / _seconds.Value;

    /// <summary>A request's drafters, in the order of their turns.</summary>
    public IReadOnlyList<(IDrafterSource Source, DraftKind Kind)> Select(SpeculationOptions options)
        => [.. SourcesOf(options).Select(source => (Source: source, Kind: KindOf(source, options))).OrderBy(drafter => drafter.Kind)];

    /// <summary>Most nodes that a request with these options computes in a round. Safe to ask from any thread.</summary>
    public int MaxNodesOf(SpeculationOptions options) => SourcesOf(options).Any() ? Math.Min(MaxNodes, options.MaxNodes + 1) : 1;

    /// <summary>The number of one of the engine's drafters.</summary>
    public int Number(string name) => _own[name];

    /// <summary>Gives a request's drafter its number, which <see cref="Return"/> gives back.</summary>
    /// <exception cref="InvalidOperationException">Drafters of too many names are at work.</exception>
    public int Take(string name) => _numbers.Take(name);

    /// <summary>Notes that a request is done with a drafter.</summary>
    public void Return(int number) => _numbers.Return(number);

    /// <summary>Where a new request begins with a drafter: at what the last one with the same drafters found out. What one is worth depends
    /// on who proposes besides.</summary>
    /// <param name="set">The request's drafters: a bit for each number.</param>
    /// <param name="number">The drafter's.</param>
    public DrafterAccount AccountOf(uint set, int number)
        => _accounts.TryGetValue((set, number), out var account) ? account.Clone(Sequences) : new DrafterAccount(Sequences);

    /// <summary>Keeps what a request has found out about a drafter.</summary>
    public void Remember(uint set, int number, DrafterAccount account) => _accounts[(set, number)] = account;

    /// <summary>Learns from a round. One that took many times longer than usual was disturbed, and counts as a slow one.</summary>
    public void ObserveRound(int nodes, int context, double forwardSeconds, double roundSeconds, int tokens)
    {
        Cost.Observe(nodes, context, forwardSeconds);
        _tokens.Add(tokens);
        _seconds.AddTime(roundSeconds);
        RoundObserved?.Invoke();
    }

    private static DraftKind KindOf(IDrafterSource source, SpeculationOptions options)
        => source.Kind == DraftKind.Sampled && !options.SampleDrafts ? DraftKind.Computed : source.Kind;

    private IEnumerable<IDrafterSource> SourcesOf(SpeculationOptions options)
        => _sources.Where(source => options.Drafters?.Contains(source.Name) ?? (options.Unplanned || !NotWorthwhile.Contains(source.Name)))
            .Concat(options.Sources);

    private void Forget(int number)
    {
        Estimates.Forget(number);
        Mixer.Forget(number);
        foreach (var known in _accounts.Keys.Where(known => (known.Set & (1u << number)) != 0).ToArray())
        {
            _accounts.Remove(known);
        }
    }
}
