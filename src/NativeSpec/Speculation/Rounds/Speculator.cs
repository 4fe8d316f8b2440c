using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>One sequence's speculation: its drafters build a tree, the planner chooses nodes of it, the walk accepts a path, and the
/// drafters see what became of it. Plain decoding is the case without drafters: a tree of one node.</summary>
internal sealed class Speculator : IDisposable
{
    private const int CandidatesPerNode = 4; // candidates beyond what can be computed, so that there is a choice

    private readonly SpeculationCore _core;
    private readonly SpeculationOptions _options;
    private readonly DrafterTeam _team;
    private readonly DraftTree _tree;
    private readonly DraftContext _context;
    private readonly Chooser _chooser;
    private readonly SamplingRule _rule;
    private readonly TokenHistory _history;
    private readonly CounterChance _walkChance;
    private readonly TreeOutcome _outcome;
    private readonly ProposalJudge _judge;
    private readonly TypicalPath? _typical;
    private readonly double[] _pathProbability;
    private readonly int[] _computedAs;
    private readonly ComputedNode[] _computed;
    private readonly double[] _prices;
    private readonly int _traceNumber;
    private (long Draft, long Plan) _traced;
    private int _position;
    private int _chosen;
    private int _share;

    public Speculator(
        SpeculationCore core, SpeculationOptions options, ReadOnlyMemory<int> prompt, Chooser chooser, SamplingRule rule, TokenHistory history)
    {
        _core = core;
        _options = options;
        _team = new DrafterTeam(core, options, prompt);
        MaxNodes = core.MaxNodesOf(options);
        _tree = new DraftTree(_team.Names.Length == 0 ? 1 : Math.Max(CandidatesPerNode * MaxNodes, 256), core.VocabSize);
        _pathProbability = new double[_tree.Capacity];
        _computedAs = new int[_tree.Capacity];
        _computed = new ComputedNode[_tree.Capacity];
        _prices = new double[_tree.Capacity + 1];
        (_chooser, _rule, _history) = (chooser, rule, history);
        _walkChance = new CounterChance(rule.Seed);
        _outcome = new TreeOutcome(_tree, _computedAs);
        _judge = new ProposalJudge(core.Estimates, core.Joint, _tree, _team.Numbers);
        _context = new DraftContext(chooser, rule, history, options.SampleDrafts) { Judge = _judge };
        _typical = options.LossyTypicalAcceptance is { } typical ? new TypicalPath(core.VocabSize, typical) : null;
        _traceNumber = options.Trace?.BeginRequest() ?? 0;
        Stats = new StatsCounter(_team.Names, core.Clock.TimestampFrequency) { IsLossy = options.LossyTypicalAcceptance is not null };
        _context.Append(prompt.Span);
    }

    /// <summary>Most nodes that this sequence computes in a round.</summary>
    public int MaxNodes { get; }

    public StatsCounter Stats { get; }

    /// <summary>The tree of the round, for traces.</summary>
    public DraftTree Tree => _tree;

    /// <summary>Asks the drafters for candidates below the text's last token.</summary>
    /// <param name="maxDepth">The deepest node that can be used.</param>
    /// <param name="share">This sequence's part of the round's nodes: what is computed in any case stays within it.</param>
    /// <param name="others">Other sequences that the round computes.</param>
    public void Propose(int maxDepth, int share, int others = 0)
    {
        var began = _core.Clock.GetTimestamp();
        _share = Math.Min(share, MaxNodes);
        _position = _context.Text.Length;
        _tree.BeginRound(_context.Text[^1], maxDepth, _share);
        _judge.BeginRound();
        _context.MaxDepth = maxDepth;
        _context.TokensPerSecond = _options.Unplanned ? 0 : _core.TokensPerSecond;
        _context.Cost = _options.Unplanned ? null : _core.Cost;
        _context.OtherNodes = others;
        _context.Budget = _share - 1;
        if (maxDepth > 0)
        {
            _team.Propose(_context, _tree, Stats);
        }

        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Offers the candidates to the planner; probes, and what they hang from, are computed in any case.</summary>
    /// <param name="sequence">This sequence's number in the round.</param>
    /// <param name="planner">The planner.</param>
    /// <returns>Nodes that are computed in any case, the root among them, and the tokens expected from them.</returns>
    public (int Forced, double Gain) Offer(int sequence, Planner planner)
    {
        Array.Fill(_computedAs, -1, 0, _tree.Count);
        _computedAs[0] = 0;
        _pathProbability[0] = 1;
        var (forced, gain) = (1, 0.0);
        for (var node = 1; node < _tree.Count; node++)
        {
            var parent = _tree.Parent(node);
            _pathProbability[node] = _tree.IsProbe(node) ? 0 : _pathProbability[parent] * _judge.Estimate(node);
            if (_tree.IsForced(node))
            {
                _computedAs[node] = 0;
                forced++;
                gain += _pathProbability[node];
            }
            else
            {
                // Without regard to cost every candidate is wanted, in the order of its estimate.
                planner.Add(sequence, node, _options.Unplanned ? Planner.Wanted + _pathProbability[node] : _pathProbability[node]);
            }
        }

        _chosen = forced;
        return (forced, gain);
    }

    /// <summary>Marks a node that the planner chose, unless the request has its number of candidates already.</summary>
    public void Choose(int node)
    {
        if (_chosen < MaxNodes)
        {
            _computedAs[node] = 0;
            _chosen++;
        }
    }

    /// <summary>What is to be computed: the root and the chosen candidates, parents before their children.</summary>
    public ReadOnlySpan<ComputedNode> NodesToCompute()
    {
        var count = 0;
        for (var node = 0; node < _tree.Count; node++)
        {
            if (_computedAs[node] < 0)
            {
                continue;
            }

            var parent = node == 0 ? -1 : _computedAs[_tree.Parent(node)];
            _computed[count] = new ComputedNode(parent, _tree.Token(node));
            _computedAs[node] = count++;
            CountComputed(node);
        }

        return _computed.AsSpan(0, count);
    }

    /// <summary>Begins the walk at the root of the computed tree.</summary>
    public void BeginWalk(IComputedTrees computed, int treeInRound) => _outcome.Begin(computed, treeInRound);

    /// <summary>Chooses the token after a node, and the node to go on at.</summary>
    public WalkStep Step(int node)
    {
        _walkChance.MoveTo(_history.Count);
        return _core.Verifier.Step(_tree, _outcome, node, _chooser, _history.Choice(_rule), _walkChance);
    }

    /// <summary>The nodes that typical acceptance takes without verifying them; null where the request verifies, as it does by default.</summary>
    public IReadOnlyList<int>? FindTypicalPath() => _typical?.Find(_tree, _outcome, _chooser, _rule, _history);

    /// <summary>The target's logits at a node of the walk.</summary>
    public ReadOnlySpan<float> Logits(int node) => _outcome.Logits(node);

    /// <summary>Takes a token into the text, and the node that holds it if there is one.</summary>
    public void Accept(int token, int child)
    {
        _outcome.Emit(token);
        if (child >= 0)
        {
            _outcome.Accept(child);
            Stats.Accept(_tree.Depth(child));
            for (var i = _tree.FirstProposal(child); i >= 0; i = _tree.ProposalAt(i).Next)
            {
                Stats.Of(_tree.ProposalAt(i).Drafter).Accept(_tree.Depth(child));
            }
        }
    }

    /// <summary>The accepted path as nodes of the computed tree, the root first: what the cache commits.</summary>
    public ReadOnlySpan<int> CommittedPath => _outcome.ForwardPath;

    /// <summary>Lets estimates and drafters learn from the round.</summary>
    public void Observe()
    {
        var began = _core.Clock.GetTimestamp();
        _context.Append(_outcome.Emitted);
        _team.Observe(_outcome, _judge, Prices(_outcome.Emitted.Length), Stats);
        _judge.Learn(_outcome.Emitted, Stats);
        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Hands the round to the request's trace, if it has one.</summary>
    /// <param name="forwardTicks">The time of the forward.</param>
    public void WriteTrace(long forwardTicks)
    {
        if (_options.Trace is { } trace)
        {
            var times = (Draft: Stats.DraftTicks - _traced.Draft, Plan: Stats.PlanTicks - _traced.Plan, Verify: forwardTicks);
            _traced = (Stats.DraftTicks, Stats.PlanTicks);
            trace.WriteRound(new TracedRound(_traceNumber, Stats.Rounds, _position, _outcome, _team.Names, _pathProbability, times, _core.Clock));
        }
    }

    /// <summary>Lets the drafters read the prompt's first <paramref name="length"/> tokens, while it is computed.</summary>
    public void ReadPrompt(int length)
    {
        var began = _core.Clock.GetTimestamp();
        _team.ReadPrompt(_context.Text[..length]);
        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Starts with the prompt's end: a tree of its last token alone, which was the last node of the prompt's chunk.</summary>
    public void BeginText(int lastNode)
    {
        _tree.BeginRound(_context.Text[^1], maxDepth: 0, mostForced: 1);
        _computedAs[0] = lastNode;
    }

    public void Dispose() => _team.Dispose();

    /// <summary>What the first, second, … candidate of a tree must promise to be computed, in tokens that could be written in its time.</summary>
    private ReadOnlySpan<double> Prices(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _prices[i] = _context.SecondsOfNodeAfter(1 + i) * _core.TokensPerSecond;
        }

        return _prices.AsSpan(0, count);
    }

    private void CountComputed(int node)
    {
        if (node == 0)
        {
            return;
        }

        if (_tree.IsProbe(node))
        {
            Stats.Probes++;
            return;
        }

        Stats.Drafted++;
        for (var i = _tree.FirstProposal(node); i >= 0; i = _tree.ProposalAt(i).Next)
        {
            Stats.Of(_tree.ProposalAt(i).Drafter).Drafted++;
        }
    }
}
