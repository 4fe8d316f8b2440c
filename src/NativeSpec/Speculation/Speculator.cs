using System.Diagnostics;
using NativeSpec.Model;
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
    private readonly Slot[] _drafters;
    private readonly DraftTree _tree;
    private readonly DraftContext _context;
    private readonly Sampler _sampler;
    private readonly TokenHistory _history;
    private readonly CounterChance _walkChance;
    private readonly Outcome _outcome;
    private readonly TypicalPath? _typical;
    private readonly double[] _pathProbability;
    private readonly int[] _computedAs;
    private int _chosen;
    private int _share;

    public Speculator(
        SpeculationCore core, SpeculationOptions options, ulong seed, ReadOnlyMemory<int> prompt, Sampler sampler, TokenHistory history)
    {
        _core = core;
        _options = options;
        _drafters = [.. core.Select(options).Select(s => new Slot(s.Number, s.Source.Name, s.Source.Start(prompt)))];
        MaxNodes = core.MaxNodesOf(options);
        _tree = new DraftTree(_drafters.Length == 0 ? 1 : Math.Max(CandidatesPerNode * MaxNodes, 256), core.VocabSize);
        _pathProbability = new double[_tree.Capacity];
        _computedAs = new int[_tree.Capacity];
        (_sampler, _history) = (sampler, history);
        _context = new DraftContext(sampler, history, options.DrawDrafts, seed);
        _walkChance = new CounterChance(seed);
        _outcome = new Outcome(_tree, _computedAs);
        _typical = options.LossyTypicalAcceptance is { } rule ? new TypicalPath(core.VocabSize, rule) : null;
        Stats = new StatsCounter([.. _drafters.Select(slot => slot.Name)]) { IsLossy = options.LossyTypicalAcceptance is not null };
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
    public void Propose(int maxDepth, int share)
    {
        var began = Stopwatch.GetTimestamp();
        _share = Math.Min(share, MaxNodes);
        _tree.Reset(_context.Text[^1], maxDepth);
        _context.MaxDepth = maxDepth;
        _context.TokensPerSecond = _options.FollowsCost ? _core.TokensPerSecond : 0;
        _context.SecondsPerNode = _options.FollowsCost ? (_core.Cost.At(_share) - _core.Cost.At(1)) / _share : 0;
        _context.Budget = _share - 1;
        _tree.ProbesLeft = _share - 1;
        for (var i = 0; i < _drafters.Length && maxDepth > 0; i++)
        {
            var slot = _drafters[i];
            slot.WasAsked = !_options.FollowsCost || slot.Control.ShouldAsk(_core.TokensPerSecond);
            if (slot.WasAsked)
            {
                Ask(slot, i);
            }
        }

        Stats.DraftTicks += Stopwatch.GetTimestamp() - began;
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
            _pathProbability[node] = _tree.IsProbe(node) ? 0 : _pathProbability[parent] * Estimate(node);
            if (_tree.IsProbe(node) || IsDrawn(node))
            {
                _computedAs[node] = 0;
                forced++;
                gain += _pathProbability[node];
            }
            else
            {
                // Without regard to cost every candidate is as good as certain, in the order of its estimate.
                planner.Add(sequence, node, _options.FollowsCost ? _pathProbability[node] : 1 + _pathProbability[node]);
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

    /// <summary>Fills the tree that is computed, in the order of the candidates.</summary>
    public void FillForward(TokenTree forward)
    {
        forward.Clear();
        for (var node = 0; node < _tree.Count; node++)
        {
            if (_computedAs[node] < 0)
            {
                continue;
            }

            var parent = node == 0 ? -1 : _computedAs[_tree.Parent(node)];
            _computedAs[node] = forward.Add(parent, _tree.Token(node));
            CountComputed(node);
        }
    }

    /// <summary>Begins the walk at the root of the computed tree.</summary>
    public void BeginWalk(LlamaModel model, Forest forest, int treeInForest) => _outcome.Begin(model, forest, treeInForest);

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
        var began = Stopwatch.GetTimestamp();
        _context.Append(_outcome.Emitted);
        LearnAcceptance();
        for (var i = 0; i < _drafters.Length; i++)
        {
            var slot = _drafters[i];
            var start = Stopwatch.GetTimestamp();
            slot.Drafter.Observe(_outcome);
            slot.RoundTicks += Stopwatch.GetTimestamp() - start;
            Stats.Of(i).Ticks += slot.RoundTicks;
            if (slot.WasAsked)
            {
                slot.Control.Observe((double)slot.RoundTicks / Stopwatch.Frequency, Credit(i));
            }

            slot.RoundTicks = 0;
            slot.WasAsked = false;
        }

        Stats.DraftTicks += Stopwatch.GetTimestamp() - began;
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
            slot.Drafter.Dispose();
        }
    }

    private void Ask(Slot slot, int index)
    {
        _tree.CurrentDrafter = index;
        _context.ProbeBudget = ProbeBudget(slot);
        var (before, start) = (_tree.ProposalCount, Stopwatch.GetTimestamp());
        slot.Drafter.Propose(_context, _tree);
        slot.RoundTicks = Stopwatch.GetTimestamp() - start;
        var count = Stats.Of(index);
        count.Rounds++;
        count.Proposed += _tree.ProposalCount - before;
    }

    /// <summary>Probes are paid for by what their drafter has been giving; without that, only as many as the machine computes for nothing.</summary>
    private int ProbeBudget(Slot slot)
    {
        var most = _tree.ProbesLeft;
        var one = _core.Cost.At(1);
        if (!_options.FollowsCost || slot.Control.TokensPerRound * one > _core.Cost.At(1 + most) - one)
        {
            return most;
        }

        var free = 0;
        while (free < most && _core.Cost.At(2 + free) <= FreeCost * one)
        {
            free++;
        }

        return free;
    }

    /// <summary>The probability that a node is right if its parent is: its proposers' estimates as independent chances.</summary>
    private double Estimate(int node)
    {
        var wrong = 1.0;
        for (var i = _tree.FirstProposal(node); i >= 0; i = _tree.ProposalAt(i).Next)
        {
            ref readonly var proposal = ref _tree.ProposalAt(i);
            wrong *= 1 - _core.Estimates.Estimate(_drafters[proposal.Drafter].Number, _tree.Depth(node), proposal.Rank, proposal.Confidence);
        }

        return 1 - wrong;
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

    /// <summary>Every candidate whose parent is text by now can be judged, computed or not: its token is the next one or it is not.</summary>
    private void LearnAcceptance()
    {
        var emitted = _outcome.Emitted;
        for (var node = 1; node < _tree.Count; node++)
        {
            var depth = _tree.Depth(node);
            if (depth > emitted.Length || _tree.IsProbe(node) || !IsText(_tree.Parent(node), emitted))
            {
                continue;
            }

            var right = _tree.Token(node) == emitted[depth - 1];
            for (var i = _tree.FirstProposal(node); i >= 0; i = _tree.ProposalAt(i).Next)
            {
                ref readonly var proposal = ref _tree.ProposalAt(i);
                _core.Estimates.Observe(_drafters[proposal.Drafter].Number, depth, proposal.Rank, proposal.Confidence, right);
            }
        }
    }

    private bool IsText(int node, ReadOnlySpan<int> emitted)
    {
        for (; node > 0; node = _tree.Parent(node))
        {
            if (_tree.Token(node) != emitted[_tree.Depth(node) - 1])
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>This drafter's part of the accepted nodes: where several proposed one, they share it.</summary>
    private double Credit(int drafter)
    {
        var credit = 0.0;
        foreach (var node in _outcome.AcceptedPath)
        {
            var (proposers, isOne) = (0, false);
            for (var i = _tree.FirstProposal(node); i >= 0; i = _tree.ProposalAt(i).Next)
            {
                proposers++;
                isOne |= _tree.ProposalAt(i).Drafter == drafter;
            }

            credit += isOne ? 1.0 / proposers : 0;
        }

        return credit;
    }

    private sealed class Slot(int number, string name, IDrafter drafter)
    {
        public int Number { get; } = number;

        public string Name { get; } = name;

        public IDrafter Drafter { get; } = drafter;

        public DrafterControl Control { get; } = new();

        public bool WasAsked { get; set; }

        public long RoundTicks { get; set; }
    }

    private sealed class Outcome(DraftTree tree, int[] computedAs) : RoundOutcome, INodeLogits
    {
        private readonly int[] _emitted = new int[tree.Capacity + 1];
        private readonly int[] _path = new int[tree.Capacity];
        private readonly int[] _forwardPath = new int[tree.Capacity];
        private LlamaModel? _model;
        private Forest? _forest;
        private int _treeInForest;
        private int _emittedCount;
        private int _pathCount;

        public override DraftTree Tree => tree;

        public override ReadOnlySpan<int> Emitted => _emitted.AsSpan(0, _emittedCount);

        public override ReadOnlySpan<int> AcceptedPath => _path.AsSpan(0, _pathCount);

        public ReadOnlySpan<int> ForwardPath => _forwardPath.AsSpan(0, _pathCount);

        public void Begin(LlamaModel model, Forest forest, int treeInForest)
        {
            (_model, _forest, _treeInForest) = (model, forest, treeInForest);
            (_emittedCount, _pathCount) = (0, 0);
            Accept(0);
        }

        public void Accept(int node)
        {
            _path[_pathCount] = node;
            _forwardPath[_pathCount++] = computedAs[node];
        }

        public void Emit(int token) => _emitted[_emittedCount++] = token;

        public override bool WasComputed(int node) => (uint)node < (uint)tree.Count && computedAs[node] >= 0;

        public override ReadOnlySpan<float> Logits(int node) => _model!.Logits(Row(node));

        public override ReadOnlySpan<float> Hidden(int node) => _model!.Hidden(Row(node));

        private int Row(int node) => WasComputed(node)
            ? _forest!.LogitRow(_treeInForest, computedAs[node])
            : throw new ArgumentException($"node {node} was not computed; ask {nameof(WasComputed)} first", nameof(node));
    }
}
