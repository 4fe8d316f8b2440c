using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What all requests of an engine share: its drafters, what is known about their acceptance and this machine's costs, the planner
/// and the verifier. Used by the engine's thread.</summary>
internal sealed class SpeculationCore
{
    private const int MostDrafters = 32;

    private readonly IReadOnlyList<IDrafterSource> _sources;
    private readonly List<string> _names = [];
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
    public LogisticMixer Mixer { get; } = new(MostDrafters);

    /// <summary>Tokens per second of late, all sequences together; 0 before the first round.</summary>
    public double TokensPerSecond => _seconds.Value == 0 ? 0 : _tokens.Value / _seconds.Value;

    /// <summary>The drafters of a request, with the numbers under which their acceptance is known.</summary>
    public IReadOnlyList<(int Number, IDrafterSource Source)> Select(SpeculationOptions options)
        => [.. SourcesOf(options).Select(source => (Number(source.Name), source))];

    /// <summary>Most nodes that a request with these options computes in a round. Safe to ask from any thread.</summary>
    public int MaxNodesOf(SpeculationOptions options) => SourcesOf(options).Any() ? Math.Min(MaxNodes, options.MaxNodes + 1) : 1;

    /// <summary>Where a new request begins with a drafter: at what the last one with the same drafters found out. What one is worth depends
    /// on who proposes besides.</summary>
    /// <param name="set">The request's drafters: a bit for each number.</param>
    /// <param name="number">The drafter's.</param>
    public DrafterAccount AccountOf(uint set, int number) => _accounts.TryGetValue((set, number), out var account) ? account.Clone() : new DrafterAccount();

    /// <summary>Keeps what a request has found out about a drafter.</summary>
    public void Remember(uint set, int number, DrafterAccount account) => _accounts[(set, number)] = account;

    /// <summary>Learns from a round. One that took many times longer than usual was disturbed, and counts as a slow one.</summary>
    public void ObserveRound(int nodes, int context, double forwardSeconds, double roundSeconds, int tokens)
    {
        Cost.Observe(nodes, context, forwardSeconds);
        _tokens.Add(tokens);
        _seconds.AddTime(roundSeconds);
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
        => _sources.Where(source => options.Drafters?.Contains(source.Name) ?? !(options.FollowsCost && NotWorthwhile.Contains(source.Name)))
            .Concat(options.Sources);
}
