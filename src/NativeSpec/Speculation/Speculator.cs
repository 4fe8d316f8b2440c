using NativeSpec.Sampling;

namespace NativeSpec.Speculation;

/// <summary>One sequence's speculation: its drafters build a tree, the planner chooses nodes of it, the walk accepts a path, and the
/// drafters see what became of it. Plain decoding is the case without drafters: a tree of one node.</summary>
internal sealed class Speculator : IDisposable
{
    private const double FreeCost = 1.02;    // a forward this much longer than that of one node is as good as free
    private const int CandidatesPerNode = 4; // candidates beyond what can be computed, so that there is a choice

    private readonly SpeculationCore _core;
    private readonly SpeculationOptions _options;
    private readonly DrafterSlot[] _drafters;
    private readonly DraftTree _tree;
    private readonly DraftContext _context;
    private readonly Sampler _sampler;
    private readonly TokenHistory _history;
    private readonly CounterChance _walkChance;
    private readonly TreeOutcome _outcome;
    private readonly ProposalJudge _judge;
    private readonly TypicalPath? _typical;
    private readonly double[] _pathProbability;
    private readonly int[] _computedAs;
    private readonly ComputedNode[] _computed;
    private readonly string[] _drafterNames;
    private readonly int _traceNumber;
    private readonly uint _set; // its drafters, a bit for each number
    private (long Draft, long Plan) _traced;
    private long _observed; // when the last round was over
    private bool _hasObserved;
    private int _position;
    private int _chosen;
    private int _share;

    public Speculator(
        SpeculationCore core, SpeculationOptions options, ulong seed, ReadOnlyMemory<int> prompt, Sampler sampler, TokenHistory history)
    {
        _core = core;
        _options = options;
        var selected = core.Select(options);
        _set = selected.Aggregate(0u, (set, drafter) => set | (1u << drafter.Number));
        _drafters = [.. selected.Select(s => new DrafterSlot(s.Number, s.Source.Name, s.Source.Start(prompt), core.ControlOf(_set, s.Number)))];
        MaxNodes = core.MaxNodesOf(options);
        _tree = new DraftTree(_drafters.Length == 0 ? 1 : Math.Max(CandidatesPerNode * MaxNodes, 256), core.VocabSize);
        _pathProbability = new double[_tree.Capacity];
        _computedAs = new int[_tree.Capacity];
        _computed = new ComputedNode[_tree.Capacity];
        (_sampler, _history) = (sampler, history);
        _context = new DraftContext(sampler, history, options.DrawDrafts, seed);
        _walkChance = new CounterChance(seed);
        _outcome = new TreeOutcome(_tree, _computedAs);
        _judge = new ProposalJudge(core.Estimates, _tree, _drafters);
        _typical = options.LossyTypicalAcceptance is { } rule ? new TypicalPath(core.VocabSize, rule) : null;
        _drafterNames = [.. _drafters.Select(slot => slot.Name)];
        _traceNumber = options.Trace?.BeginRequest() ?? 0;
        Stats = new StatsCounter(_drafterNames, core.Clock.TimestampFrequency) { IsLossy = options.LossyTypicalAcceptance is not null };
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
        _tree.Reset(_context.Text[^1], maxDepth);
        _context.MaxDepth = maxDepth;
        _context.TokensPerSecond = _options.FollowsCost ? _core.TokensPerSecond : 0;
        _context.Cost = _options.FollowsCost ? _core.Cost : null;
        _context.OtherNodes = others;
        _context.Budget = _share - 1;
        _tree.ProbesLeft = _share - 1;
        for (var i = 0; i < _drafters.Length && maxDepth > 0; i++)
        {
            var slot = _drafters[i];
            if (slot.AsksNext)
            {
                Ask(slot, i);
            }
        }

        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Offers the candidates to the planner; drawn children and probes are computed in any case.</summary>
    /// <param name="sequence">This sequence's number in the round.</param>
    /// <param name="planner">The planner.</param>
    /// <returns>Nodes that are computed in any case, the root among them, and the tokens expected from drawn children.</returns>
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
            if (_tree.IsProbe(node) || IsDrawn(node))
            {
                _computedAs[node] = 0;
                forced++;
                gain += _pathProbability[node];
            }
            else
            {
                // Without regard to cost every candidate is wanted, in the order of its estimate.
                planner.Add(sequence, node, _options.FollowsCost ? _pathProbability[node] : Planner.Wanted + _pathProbability[node]);
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
        return _core.Verifier.Step(_tree, _outcome, node, _sampler, _history, _walkChance);
    }

    /// <summary>The nodes that typical acceptance takes without verifying them; null where the request verifies, as it does by default.</summary>
    public IReadOnlyList<int>? FindTypicalPath() => _typical?.Find(_tree, _outcome, _sampler, _history);

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
        _judge.Learn(_outcome.Emitted, Stats);
        for (var i = 0; i < _drafters.Length; i++)
        {
            Observe(_drafters[i], i, Seconds(began - _observed));
        }

        (_observed, _hasObserved) = (_core.Clock.GetTimestamp(), true);
        Stats.DraftTicks += _observed - began;
    }

    /// <summary>Hands the round to the request's trace, if it has one.</summary>
    /// <param name="forwardTicks">The time of the forward.</param>
    public void WriteTrace(long forwardTicks)
    {
        if (_options.Trace is { } trace)
        {
            var times = (Draft: Stats.DraftTicks - _traced.Draft, Plan: Stats.PlanTicks - _traced.Plan, Verify: forwardTicks);
            _traced = (Stats.DraftTicks, Stats.PlanTicks);
            trace.WriteRound(new TracedRound(_traceNumber, Stats.Rounds, _position, _outcome, _drafterNames, _pathProbability, times, _core.Clock));
        }
    }

    /// <summary>Starts with the prompt's end: a tree of its last token alone, which was the last node of the prompt's chunk.</summary>
    public void BeginText(int lastNode)
    {
        _tree.Reset(_context.Text[^1], 0);
        _computedAs[0] = lastNode;
    }

    public void Dispose()
    {
        foreach (var slot in _drafters)
        {
            _core.Remember(_set, slot.Number, slot.Control);
            slot.Drafter.Dispose();
        }
    }

    /// <summary>Shows a drafter the round, and decides whether to ask it in the next. One that rests is shown rounds while that costs next
    /// to nothing, and in any case the one before it is asked.</summary>
    private void Observe(DrafterSlot slot, int index, double secondsSinceLast)
    {
        if (slot.WasAsked)
        {
            slot.RoundTicks += Show(slot);
            var credit = _judge.Credit(index, _outcome.AcceptedPath, _context.SecondsOfNodeAfter(_chosen) * _core.TokensPerSecond);
            slot.Control.Observe(Seconds(slot.RoundTicks), credit, _judge.WasRight(index, _outcome.Emitted), _core.TokensPerSecond);
        }

        slot.AsksNext = !_options.FollowsCost || slot.Control.ShouldAsk(_core.TokensPerSecond);
        if (!slot.WasAsked && (slot.Learning.Allows(secondsSinceLast) || slot.AsksNext || !_hasObserved))
        {
            slot.RoundTicks = Show(slot);
            slot.Learning.Spend(Seconds(slot.RoundTicks));
        }

        Stats.Of(index).Ticks += slot.RoundTicks;
        slot.RoundTicks = 0;
        slot.WasAsked = false;
    }

    private long Show(DrafterSlot slot)
    {
        var start = _core.Clock.GetTimestamp();
        slot.Drafter.Observe(_outcome);
        return _core.Clock.GetTimestamp() - start;
    }

    private double Seconds(long ticks) => (double)ticks / _core.Clock.TimestampFrequency;

    private void Ask(DrafterSlot slot, int index)
    {
        slot.WasAsked = true;
        _tree.CurrentDrafter = index;
        _context.ProbeBudget = ProbeBudget(slot);
        _context.Acceptance = (_core.Estimates, slot.Number);
        var (before, start) = (_tree.ProposalCount, _core.Clock.GetTimestamp());
        slot.Drafter.Propose(_context, _tree);
        slot.RoundTicks = _core.Clock.GetTimestamp() - start;
        var count = Stats.Of(index);
        count.Rounds++;
        count.Proposed += _tree.ProposalCount - before;
    }

    /// <summary>Probes are paid for by what their drafter has been giving; without that, only as many as the machine computes for nothing.</summary>
    private int ProbeBudget(DrafterSlot slot)
    {
        var most = _tree.ProbesLeft;
        var one = _core.Cost.At(1, _position);
        if (!_options.FollowsCost || slot.Control.TokensPerRound * one > _core.Cost.At(1 + most, _position) - one)
        {
            return most;
        }

        var free = 0;
        while (free < most && _core.Cost.At(2 + free, _position) <= FreeCost * one)
        {
            free++;
        }

        return free;
    }

    private bool IsDrawn(int node)
    {
        if (_tree.Sampled(_tree.Parent(node)) is not { } sampled)
        {
            return false;
        }

        foreach (var (_, drawn) in sampled.Drawn)
        {
            if (drawn == node)
            {
                return true;
            }
        }

        return false;
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
