using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>A clock that only moves when it is told to.</summary>
internal sealed class SimulatedClock : TimeProvider
{
    private long _now;

    public double Seconds => (double)_now / TimestampFrequency;

    public void Pass(double seconds) => _now += (long)(seconds * TimestampFrequency);

    public override long GetTimestamp() => _now;
}

/// <summary>Takes a given time to propose a chain: what the model will write, or anything else.</summary>
internal sealed class SimulatedDrafter(SimulatedClock clock, double seconds, float confidence, string name = "simulated") : StatelessDrafter(name)
{
    /// <summary>The whole text while it is right; null while it is wrong.</summary>
    public int[]? Knows { get; set; }

    public int Asked { get; private set; }

    public override void Propose(DraftContext context, DraftTree tree)
    {
        Asked++;
        clock.Pass(seconds);
        for (var (node, depth) = (0, 0); node >= 0 && depth < 4; depth++)
        {
            var position = context.Text.Length + depth;
            node = tree.Add(node, Knows is { } text && position < text.Length ? text[position] : TestConfigs.Tiny.VocabSize - 1 - depth, 0, confidence);
        }
    }
}

/// <summary>Rounds of the production controller — drafters, planner, walk, learning — on a tiny model, in simulated time: a forward takes
/// what a given curve says, a drafter what it says itself.</summary>
internal sealed class SimulatedRounds : IDisposable
{
    private static readonly SamplingOptions Greedy = new() { Temperature = 0, LogitBias = Unlikely };

    private readonly SyntheticModel _weights = new(TestConfigs.Tiny with { MaxPositionEmbeddings = 4096 }, DType.F32, 3);
    private readonly IBackend _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly double[] _trueCost;
    private readonly SpeculationCore _core;

    public SimulatedRounds(SimulatedClock clock, IReadOnlyList<IDrafterSource> drafters, double secondsOfOne, double secondsPerFurtherNode)
    {
        Clock = clock;
        _model = new LlamaModel(_weights.Config, _weights.Tensors, _backend, new ForwardLimits(64, 64, 1, 4096));
        _cache = _model.CreateCache(4096 + 256);
        _trueCost = [.. Enumerable.Range(0, 65).Select(nodes => secondsOfOne + (secondsPerFurtherNode * (nodes - 1)))];
        _core = new SpeculationCore(drafters, new CostCurve([1, 2, 4, 8, 16, 32, 64], [.. new[] { 1, 2, 4, 8, 16, 32, 64 }.Select(n => _trueCost[n])]), _weights.Config.VocabSize, 64, clock);
    }

    public SimulatedClock Clock { get; }

    /// <summary>Probes computed in all texts.</summary>
    public long Probes { get; private set; }

    /// <summary>Tokens that a wrong drafter proposes are never the text's.</summary>
    private static Dictionary<int, float> Unlikely => Enumerable.Range(TestConfigs.Tiny.VocabSize - 8, 8).ToDictionary(token => token, _ => -100f);

    /// <summary>Writes a text and returns its tokens, the prompt's included, and tokens per simulated second.</summary>
    public (int[] Text, double Rate) Write(int prompt, int tokens, Action<int>? beforeRound = null)
    {
        using var kv = _cache.TryOpen(tokens + 128)!;
        var history = new TokenHistory(_weights.Config.VocabSize, tokens + 128, tracksTokens: true);
        history.Start([prompt]);
        var rule = new SamplingRule(Greedy, 1, _weights.Config.VocabSize);
        using var speculator = new Speculator(_core, SpeculationOptions.Auto, new[] { prompt }, new Chooser(_weights.Config.VocabSize), rule, history);
        speculator.BeginText(0);
        speculator.BeginWalk(new ComputedForest(_model, new Forest(1)), 0);
        speculator.Observe();
        var (forest, tree, text, began) = (new Forest(1), new TokenTree(64), new List<int> { prompt }, Clock.Seconds);
        while (text.Count <= tokens)
        {
            beforeRound?.Invoke(text.Count);
            var roundBegan = Clock.Seconds;
            speculator.Propose(tokens, 64);
            _core.Planner.Clear();
            var (forced, gain) = speculator.Offer(0, _core.Planner);
            _core.Planner.Choose(1, forced, gain, _core.Cost, kv.Length, _core.TokensPerSecond);
            foreach (var choice in _core.Planner.Chosen)
            {
                speculator.Choose(choice.Node);
            }

            tree.Clear();
            foreach (var node in speculator.NodesToCompute())
            {
                tree.Add(node.Parent, node.Token);
            }

            forest.Clear();
            forest.Add(kv, tree, 0);
            _model.Forward(forest);
            Clock.Pass(_trueCost[tree.Count]);
            speculator.BeginWalk(new ComputedForest(_model, forest), 0);
            var before = text.Count;
            for (var node = 0; node >= 0;)
            {
                var step = speculator.Step(node);
                text.Add(step.Token);
                history.Push(step.Token);
                speculator.Accept(step.Token, step.Child);
                node = step.Child;
            }

            kv.Commit(speculator.CommittedPath);
            speculator.Observe();
            _core.ObserveRound(tree.Count, kv.Length, _trueCost[tree.Count], Clock.Seconds - roundBegan, text.Count - before);
        }

        Probes += speculator.Stats.Probes;
        return ([.. text], (text.Count - 1) / (Clock.Seconds - began));
    }

    public void Dispose()
    {
        _cache.Dispose();
        _model.Dispose();
        _backend.Dispose();
        _weights.Dispose();
    }
}
