namespace NativeSpec.Speculation;

/// <summary>What all requests of an engine share: its drafters, what is known about their acceptance and this machine's costs, the planner
/// and the verifier. Used by the engine's thread.</summary>
internal sealed class SpeculationCore
{
    private const int MostDrafters = 32;

    private readonly IReadOnlyList<IDrafterSource> _sources;
    private readonly List<string> _names = [];

    public SpeculationCore(IReadOnlyList<IDrafterSource> sources, CostCurve cost, int vocabSize, int maxNodes)
    {
        _sources = sources;
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

    public CostCurve Cost { get; }

    public int VocabSize { get; }

    /// <summary>Most nodes of all sequences in a round.</summary>
    public int MaxNodes { get; }

    public Planner Planner { get; }

    public Verifier Verifier { get; }

    public AcceptanceEstimates Estimates { get; } = new(MostDrafters);

    /// <summary>Tokens per second of late, all sequences together; 0 before the first round.</summary>
    public double TokensPerSecond { get; private set; }

    /// <summary>The drafters of a request, with the numbers under which their acceptance is known.</summary>
    public IReadOnlyList<(int Number, IDrafterSource Source)> Select(SpeculationOptions options)
        => [.. SourcesOf(options).Select(source => (Number(source.Name), source))];

    /// <summary>Most nodes that a request with these options computes in a round. Safe to ask from any thread.</summary>
    public int MaxNodesOf(SpeculationOptions options) => SourcesOf(options).Any() ? Math.Min(MaxNodes, options.MaxNodes + 1) : 1;

    /// <summary>Learns from a round.</summary>
    public void ObserveRound(int nodes, double forwardSeconds, double roundSeconds, int tokens)
    {
        Cost.Observe(nodes, forwardSeconds);
        var rate = tokens / roundSeconds;
        TokensPerSecond = TokensPerSecond == 0 ? rate : TokensPerSecond + (0.05 * (rate - TokensPerSecond));
    }

    private IEnumerable<IDrafterSource> SourcesOf(SpeculationOptions options)
        => _sources.Where(source => options.Drafters?.Contains(source.Name) ?? true).Concat(options.Sources);

    /// <summary>Drafters of one name share what is known; names past the most that are kept share the last number.</summary>
    private int Number(string name)
    {
        var number = _names.IndexOf(name);
        if (number < 0)
        {
            number = Math.Min(_names.Count, MostDrafters - 1);
            _names.Add(name);
        }

        return Math.Min(number, MostDrafters - 1);
    }
}
