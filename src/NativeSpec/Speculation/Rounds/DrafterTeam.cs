using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>The drafters of one sequence: asks those that are worth their time for candidates, shows them what became of the round, and finds
/// out by that who is worth it.</summary>
internal sealed class DrafterTeam : IDisposable
{
    private const double FreeCost = 1.02; // a forward this much longer than that of one node is as good as free

    private readonly SpeculationCore _core;
    private readonly bool _followsCost;
    private readonly DrafterSlot[] _slots;
    private readonly uint _set; // a bit for each drafter's number
    private readonly int[] _asked;
    private readonly (double Added, double Alone)[] _credits;
    private long _observed; // when the last round was over

    /// <summary>Starts the drafters of a request.</summary>
    public DrafterTeam(SpeculationCore core, SpeculationOptions options, ReadOnlyMemory<int> prompt)
    {
        _core = core;
        _followsCost = !options.Unplanned;
        var selected = core.Select(options);
        _set = selected.Aggregate(0u, (set, drafter) => set | (1u << drafter.Number));
        _slots = [.. selected.Select(s => new DrafterSlot(s.Number, s.Source.Name, SpeculationCore.KindOf(s.Source, options), s.Source.Start(prompt), core.ControlOf(_set, s.Number)))];
        _asked = new int[_slots.Length];
        _credits = new (double, double)[_slots.Length];
        Names = [.. _slots.Select(slot => slot.Name)];
        Numbers = [.. _slots.Select(slot => slot.Number)];
    }

    /// <summary>[drafter] their names.</summary>
    public string[] Names { get; }

    /// <summary>[drafter] the numbers under which their acceptance is known.</summary>
    public int[] Numbers { get; }

    /// <summary>Lets all of them read the prompt as far as it is computed.</summary>
    public void ReadPrompt(ReadOnlySpan<int> prompt)
    {
        foreach (var slot in _slots)
        {
            slot.Drafter.ReadPrompt(prompt);
        }
    }

    /// <summary>Lets those who are to be asked add their candidates.</summary>
    public void Propose(DraftContext context, DraftTree tree, StatsCounter stats)
    {
        for (var i = 0; i < _slots.Length; i++)
        {
            var slot = _slots[i];
            if (!slot.AsksNext)
            {
                continue;
            }

            slot.WasAsked = true;
            context.Drafter = i;
            context.ProbeBudget = ProbeBudget(slot, tree.ForcedLeft, context.Text.Length);
            tree.BeginTurn(i, slot.Kind, context.ProbeBudget);
            var (before, start) = (tree.ProposalCount, _core.Clock.GetTimestamp());
            slot.Drafter.Propose(context, tree);
            tree.EndTurn();
            slot.RoundTicks = _core.Clock.GetTimestamp() - start;
            stats.Of(i).Rounds++;
            stats.Of(i).Proposed += tree.ProposalCount - before;
        }
    }

    /// <summary>Shows the drafters a round, and decides whom to ask in the next.</summary>
    /// <param name="outcome">The round.</param>
    /// <param name="judge">Says what their candidates were worth.</param>
    /// <param name="prices">What the first, second, … candidate of a tree must promise to be computed, in tokens.</param>
    /// <param name="stats">Receives their times.</param>
    public void Observe(RoundOutcome outcome, ProposalJudge judge, ReadOnlySpan<double> prices, StatsCounter stats)
    {
        var sinceLast = _observed == 0 ? 0 : Seconds(_core.Clock.GetTimestamp() - _observed);
        var asked = OrderAsked();
        judge.Credit(asked, outcome.Emitted, prices, _credits);
        for (var i = 0; i < asked.Length; i++)
        {
            var slot = _slots[asked[i]];
            slot.RoundTicks += Show(slot, outcome);
            slot.Control.Observe(Seconds(slot.RoundTicks), _credits[i].Added, _credits[i].Alone, judge.WasRight(asked[i], outcome.Emitted), _core.TokensPerSecond);
        }

        for (var i = 0; i < _slots.Length; i++)
        {
            DecideNext(_slots[i], outcome, sinceLast);
            stats.Of(i).Ticks += _slots[i].RoundTicks;
            (_slots[i].RoundTicks, _slots[i].WasAsked) = (0, false);
        }

        _observed = _core.Clock.GetTimestamp();
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            _core.Remember(_set, slot.Number, slot.Control);
            slot.Drafter.Dispose();
        }
    }

    /// <summary>Whether to ask a drafter in the next round. One that rests is shown rounds while that costs next to nothing, and in any case
    /// the one before it is asked.</summary>
    private void DecideNext(DrafterSlot slot, RoundOutcome outcome, double secondsSinceLast)
    {
        slot.AsksNext = !_followsCost || slot.Control.ShouldAsk(_core.TokensPerSecond);
        if (!slot.WasAsked && (slot.Control.Allowance.Allows(secondsSinceLast) || slot.AsksNext))
        {
            slot.RoundTicks = Show(slot, outcome);
            slot.Control.Allowance.Spend(Seconds(slot.RoundTicks));
        }
    }

    /// <summary>Those that were asked, in the order of what they have left over alone: the most useful first.</summary>
    private ReadOnlySpan<int> OrderAsked()
    {
        var count = 0;
        for (var i = 0; i < _slots.Length; i++)
        {
            if (!_slots[i].WasAsked)
            {
                continue;
            }

            var place = count++;
            for (; place > 0 && Surplus(_asked[place - 1]) < Surplus(i); place--)
            {
                _asked[place] = _asked[place - 1];
            }

            _asked[place] = i;
        }

        return _asked.AsSpan(0, count);

        double Surplus(int drafter) => _slots[drafter].Control.SurplusAlone(_core.TokensPerSecond);
    }

    private long Show(DrafterSlot slot, RoundOutcome outcome)
    {
        var start = _core.Clock.GetTimestamp();
        slot.Drafter.Observe(outcome);
        return _core.Clock.GetTimestamp() - start;
    }

    private double Seconds(long ticks) => (double)ticks / _core.Clock.TimestampFrequency;

    /// <summary>Probes are paid for by what their drafter has been giving; without that, only as many as the machine computes for nothing.</summary>
    private int ProbeBudget(DrafterSlot slot, int most, int position)
    {
        var one = _core.Cost.At(1, position);
        if (!_followsCost || slot.Control.TokensPerRound * one > _core.Cost.At(1 + most, position) - one)
        {
            return most;
        }

        var free = 0;
        while (free < most && _core.Cost.At(2 + free, position) <= FreeCost * one)
        {
            free++;
        }

        return free;
    }
}
