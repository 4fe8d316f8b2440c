using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What a sequence has of a round.</summary>
/// <param name="MaxDepth">The deepest node that can be used.</param>
/// <param name="Share">Its part of the round's nodes: what is computed in any case stays within it.</param>
/// <param name="Others">Other sequences that the round computes.</param>
/// <param name="Drafts">Whether drafters are asked, unless the request has all of them asked in any case.</param>
/// <param name="MayDraftAfter">Whether they may be in the round after it.</param>
internal readonly record struct RoundRoom(int MaxDepth, int Share, int Others, bool Drafts, bool MayDraftAfter);

/// <summary>One sequence's speculation: its drafters, the tree that they build, and what they and those who judge them learn from each round. Plain
/// decoding is the case without drafters: a tree of one node.</summary>
/// <remarks>In a round <see cref="RoundDrafts"/> has the tree built, <see cref="RoundPlan"/> chooses what is computed of it, and
/// <see cref="Learn"/> is given what the walk made of that. Drafters may be anybody's code: what one throws becomes this sequence's
/// <see cref="Failure"/>.</remarks>
internal sealed class Drafting : IDisposable
{
    private const int CandidatesPerNode = 4; // candidates beyond what can be computed, so that there is a choice

    private readonly SpeculationCore _core;
    private readonly SpeculationOptions _options;
    private readonly List<DrafterSlot> _slots = [];
    private readonly List<int> _numbers = []; // of the drafters, those that have not started included
    private readonly string[] _names;
    private readonly DraftTree _tree;
    private readonly DraftContext _context;
    private readonly ProposalJudge _judge;
    private readonly DrafterAccounts _accounts;
    private readonly int _traceNumber;
    private (long Draft, long Plan) _traced;
    private int _position;
    private bool _isOpen = true;
    private bool _mayOpenAfter = true;
    private bool _isClosed;

    /// <summary>Starts the drafters of a request; if one cannot start, those that have are disposed.</summary>
    /// <param name="core">What the engine's requests share.</param>
    /// <param name="options">How the request is speculated.</param>
    /// <param name="prompt">Its prompt.</param>
    /// <param name="sampling">How its tokens are chosen.</param>
    /// <param name="cacheSalt">Only texts with the same salt share what draft models have computed.</param>
    public Drafting(SpeculationCore core, SpeculationOptions options, ReadOnlyMemory<int> prompt, RequestSampling sampling, string? cacheSalt = null)
    {
        (_core, _options, Sampling) = (core, options, sampling);
        try
        {
            Start(prompt);
        }
        catch
        {
            _ = Close();
            throw;
        }

        _names = [.. _slots.Select(slot => slot.Name)];
        MaxNodes = core.MaxNodesOf(options);
        _tree = new DraftTree(_slots.Count == 0 ? 1 : Math.Max(CandidatesPerNode * MaxNodes, 256), core.VocabSize);
        _judge = new ProposalJudge(core.Estimates, core.Mixer, _tree, [.. _slots.Select(slot => slot.Number)]);
        _context = new DraftContext(sampling.Chooser, sampling.Rule, sampling.History, options.SampleDrafts) { Judge = _judge, CacheSalt = cacheSalt };
        _context.Append(prompt.Span);
        _traceNumber = options.Trace?.BeginRequest() ?? 0;
        Planned = new PlannedTree(_tree);
        Result = new WalkResult(Planned);
        Stats = new StatsCounter(_names, core.Clock.TimestampFrequency) { IsLossy = options.LossyTypicalAcceptance is not null };
        _accounts = new DrafterAccounts(core, options.Unplanned, _slots, _judge, _context, _tree, Stats);
    }

    /// <summary>How the sequence's tokens are chosen.</summary>
    public RequestSampling Sampling { get; }

    /// <summary>Most nodes that this sequence computes in a round.</summary>
    public int MaxNodes { get; }

    public StatsCounter Stats { get; }

    /// <summary>Prompt and output so far.</summary>
    public ReadOnlySpan<int> Text => _context.Text;

    /// <summary>What is computed of the round's tree.</summary>
    public PlannedTree Planned { get; }

    /// <summary>Where the walk writes what became of the round.</summary>
    public WalkResult Result { get; }

    /// <summary>The set of its drafters: a bit for each number.</summary>
    private uint Set
    {
        get
        {
            var set = 0u;
            foreach (var number in _numbers)
            {
                set |= 1u << number;
            }

            return set;
        }
    }

    /// <summary>Its drafters, in the order of their turns.</summary>
    public List<DrafterSlot> Drafters => _slots;

    /// <summary>What a drafter has thrown while the tree was built; the sequence has ended by it.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Whether it has drafters that are asked only in rounds that are open to them.</summary>
    public static Predicate<Drafting> IsGated { get; } = drafting => drafting._slots.Count > 0 && !drafting._options.Unplanned;

    /// <summary>Whether it has drafters that are asked in every round.</summary>
    public static Predicate<Drafting> IsUngated { get; } = drafting => drafting._slots.Count > 0 && drafting._options.Unplanned;

    /// <summary>Whether it has drafters that may be asked in this round.</summary>
    public static Predicate<Drafting> IsOpen { get; } = drafting => drafting._isOpen && drafting._slots.Count > 0;

    /// <summary>Whether a drafter was asked in this round.</summary>
    public bool WasAsked => _slots.Exists(slot => slot.WasAsked);

    /// <summary>Lets the drafters read the prompt's first tokens, as far as they are computed.</summary>
    public void ReadPrompt(int length)
    {
        var began = _core.Clock.GetTimestamp();
        foreach (var slot in _slots)
        {
            slot.Drafter.ReadPrompt(Text[..length]);
        }

        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Begins a round with a tree of the text's last token.</summary>
    public void Begin(in RoundRoom room)
    {
        var share = Math.Min(room.Share, MaxNodes);
        _isOpen = room.Drafts || _options.Unplanned;
        _mayOpenAfter = room.MayDraftAfter || _options.Unplanned;
        _position = Text.Length;
        _tree.BeginRound(Text[^1], room.MaxDepth, share);
        _judge.BeginRound();
        _context.MaxDepth = room.MaxDepth;
        _context.TokensPerSecond = _options.Unplanned ? 0 : _core.TokensPerSecond;
        _context.Cost = _options.Unplanned ? null : _core.Cost;
        _context.OtherNodes = room.Others;
        _context.Budget = share - 1;
        if (_accounts.Rests)
        {
            return; // nothing has become of the drafters since
        }

        foreach (var slot in _slots)
        {
            (slot.WasAsked, slot.Probes, slot.RoundTicks) = (false, 0, 0);
        }
    }

    /// <summary>Whether a drafter is to be asked in this round.</summary>
    public bool Wants(int drafter) => Failure is null && _isOpen && _slots[drafter].AsksNext && _context.MaxDepth > 0;

    /// <summary>Has those drafters of a kind that are asked by themselves add their candidates.</summary>
    public void Propose(DraftKind kind)
    {
        for (var i = 0; i < _slots.Count; i++)
        {
            if (_slots[i].Kind != kind || _slots[i].Together is not null || !Wants(i))
            {
                continue;
            }

            var start = _core.Clock.GetTimestamp();
            var before = BeginTurn(i);
            try
            {
                _slots[i].Drafter.Propose(_context, _tree);
            }
#pragma warning disable CA1031 // A drafter may be anybody's code; what it throws is its request's, not its neighbours'.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Fail(error);
            }

            EndTurn(i, before, _core.Clock.GetTimestamp() - start);
        }
    }

    /// <summary>What the source that asks a drafter together with others gets to see of this sequence.</summary>
    public DraftItem ItemOf(int drafter) => new(_slots[drafter].Drafter, _context, _tree);

    /// <summary>Opens the tree to a drafter; returns what <see cref="EndTurn"/> wants to know.</summary>
    public int BeginTurn(int drafter)
    {
        var slot = _slots[drafter];
        slot.WasAsked = true;
        _context.BeginTurn(drafter, _accounts.ProbeBudget(slot));
        _tree.BeginTurn(drafter, slot.Kind, _context.ProbeBudget);
        return _tree.ProposalCount;
    }

    /// <summary>Closes the tree.</summary>
    /// <param name="drafter">Whose turn it was.</param>
    /// <param name="before">What <see cref="BeginTurn"/> returned.</param>
    /// <param name="ticks">The time it took.</param>
    public void EndTurn(int drafter, int before, long ticks)
    {
        _tree.EndTurn();
        (_slots[drafter].RoundTicks, _slots[drafter].Probes) = (ticks, _context.ProbeBudget - _tree.ProbesLeft);
        Stats.DraftTicks += ticks;
        Stats.Of(drafter).Rounds++;
        Stats.Of(drafter).Proposed += _tree.ProposalCount - before;
    }

    /// <summary>Notes time that a drafter spent on reading text, which says nothing about what its rounds cost.</summary>
    public void CountReading(int drafter, long ticks)
    {
        Stats.DraftTicks += ticks;
        Stats.Of(drafter).Ticks += ticks;
    }

    /// <summary>Ends the sequence's part in the round with what a drafter has thrown.</summary>
    public void Fail(Exception error) => Failure ??= error;

    /// <summary>Offers the candidates to the planner; forced ones are computed in any case.</summary>
    /// <param name="sequence">This sequence's number in the round.</param>
    /// <param name="planner">The planner.</param>
    /// <returns>Nodes that are computed in any case, the root among them, and the tokens expected from them.</returns>
    public (int Forced, double Gain) Offer(int sequence, Planner planner)
    {
        Planned.Begin(MaxNodes);
        var (path, gain) = (Planned.PathProbability, 0.0);
        path[0] = 1;
        for (var node = 1; node < _tree.Count; node++)
        {
            path[node] = _tree.IsProbe(node) ? 0 : path[_tree.Parent(node)] * _judge.Estimate(node);
            if (_tree.IsForced(node))
            {
                gain += path[node];
            }
            else
            {
                // Without regard to cost every candidate is wanted, in the order of its estimate.
                planner.Add(sequence, node, _options.Unplanned ? Planner.Wanted + path[node] : path[node]);
            }
        }

        return (Planned.Count, gain);
    }

    /// <summary>The round without drafters: a tree of the text's last token alone, which was computed with the prompt.</summary>
    public void PlanPromptEnd()
    {
        _tree.BeginRound(Text[^1], maxDepth: 0, mostForced: 1);
        Planned.Begin(most: 1);
        Planned.End();
    }

    /// <summary>Lets estimates and drafters learn from a round.</summary>
    public void Learn(WalkResult result)
    {
        _context.Append(result.Emitted);
        if (!_isOpen && !_mayOpenAfter)
        {
            _accounts.Rest(result.Emitted.Length);
            return;
        }

        var began = _core.Clock.GetTimestamp();
        _accounts.SettleAsked(result);
        _accounts.DecideNext(result, _isOpen, _mayOpenAfter);
        _judge.Learn(result.Emitted, Stats);
        Stats.DraftTicks += _core.Clock.GetTimestamp() - began;
    }

    /// <summary>Takes in what the last round wrote; nobody learns from it, because there is nothing left to learn for.</summary>
    public void End(WalkResult result) => _context.Append(result.Emitted);

    /// <summary>Counts a round that the sequence decoded, and hands it to the request's trace, if it has one.</summary>
    /// <param name="result">The round.</param>
    /// <param name="forwardTicks">The time of the forward.</param>
    public void Record(WalkResult result, long forwardTicks)
    {
        Stats.CountRound(result, forwardTicks);
        if (_options.Trace is { } trace)
        {
            var times = (Draft: Stats.DraftTicks - _traced.Draft, Plan: Stats.PlanTicks - _traced.Plan, Verify: forwardTicks);
            _traced = (Stats.DraftTicks, Stats.PlanTicks);
            trace.WriteRound(new TracedRound(_traceNumber, Stats.Rounds, _position, result, _names, times, _core.Clock));
        }
    }

    /// <summary>Disposes every drafter, whatever the others throw.</summary>
    /// <exception cref="AggregateException">What drafters threw.</exception>
    public void Dispose()
    {
        if (Close() is { Count: > 0 } errors)
        {
            throw new AggregateException(errors);
        }
    }

    /// <summary>Starts the drafters.</summary>
    private void Start(ReadOnlyMemory<int> prompt)
    {
        var selected = _core.Select(_options);
        _core.Sequences++;
        foreach (var (source, _) in selected)
        {
            _numbers.Add(_core.Take(source.Name));
        }

        for (var i = 0; i < selected.Count; i++)
        {
            var (source, kind) = selected[i];
            var account = _options.Unplanned ? new DrafterAccount() : _core.AccountOf(Set, _numbers[i]);
            var drafter = source.Start(prompt) ?? throw new InvalidOperationException($"the drafter '{source.Name}' has started nothing");
            _slots.Add(new DrafterSlot(_numbers[i], source.Name, kind, source as BatchDrafterSource, drafter, account));
        }
    }

    /// <summary>Disposes the drafters that have started, and returns what they throw.</summary>
    private List<Exception> Close()
    {
        List<Exception> errors = [];
        _accounts?.EndRest();
        foreach (var slot in _slots)
        {
            if (!_options.Unplanned)
            {
                _core.Remember(Set, slot.Number, slot.Account); // others ask whatever it costs, so their debts say nothing
            }

            try
            {
                slot.Drafter.Dispose();
            }
#pragma warning disable CA1031 // The other drafters are to be disposed all the same.
            catch (Exception error)
#pragma warning restore CA1031
            {
                errors.Add(error);
            }
        }

        _core.Sequences -= _isClosed ? 0 : 1;
        _isClosed = true;
        _numbers.ForEach(_core.Return);
        _slots.Clear();
        _numbers.Clear();
        return errors;
    }
}
