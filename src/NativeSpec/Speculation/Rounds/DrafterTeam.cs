using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.Rounds;

/// <summary>The drafters of one sequence: asks those that are worth their time for candidates, shows them what became of the round, and finds
/// out by that who is worth it.</summary>
internal sealed class DrafterTeam : IDisposable
{
    private readonly SpeculationCore _core;
    private readonly bool _followsCost;
    private readonly DrafterSlot[] _slots;
    private readonly uint _set; // a bit for each drafter's number
    private readonly int[] _asked;
    private readonly (double Added, double Alone)[] _credits;

    /// <summary>Starts the drafters of a request.</summary>
    public DrafterTeam(SpeculationCore core, SpeculationOptions options, ReadOnlyMemory<int> prompt)
    {
        _core = core;
        _followsCost = options.FollowsCost;
        var selected = core.Select(options);
        _set = selected.Aggregate(0u, (set, drafter) => set | (1u << drafter.Number));
        _slots = [.. selected.Select(s => new DrafterSlot(s.Number, s.Source.Name, s.Source.Start(prompt), _followsCost ? core.AccountOf(_set, s.Number) : new DrafterAccount()))];
        _asked = new int[_slots.Length];
        _credits = new (double, double)[_slots.Length];
        Names = [.. _slots.Select(slot => slot.Name)];
        Numbers = [.. _slots.Select(slot => slot.Number)];
    }

    /// <summary>[drafter] their names.</summary>
    public string[] Names { get; }

    /// <summary>[drafter] the numbers under which their acceptance is known.</summary>
    public int[] Numbers { get; }

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
            (tree.CurrentDrafter, context.Drafter) = (i, i);
            context.ProbeBudget = ProbeBudget(slot, tree.ProbesLeft, context.Text.Length);
            var (before, probesBefore, start) = (tree.ProposalCount, tree.ProbesLeft, _core.Clock.GetTimestamp());
            slot.Drafter.Propose(context, tree);
            slot.RoundTicks = _core.Clock.GetTimestamp() - start;
            slot.Probes = probesBefore - tree.ProbesLeft;
            stats.Of(i).Rounds++;
            stats.Of(i).Proposed += tree.ProposalCount - before;
        }
    }

    /// <summary>Shows the drafters a round, and decides whom to ask in the next.</summary>
    /// <param name="outcome">The round.</param>
    /// <param name="judge">Says what their candidates were worth.</param>
    /// <param name="prices">What the first, second, … candidate of a tree must promise to be computed, in tokens.</param>
    /// <param name="context">Tokens of the text.</param>
    /// <param name="stats">Receives their times.</param>
    public void Observe(RoundOutcome outcome, ProposalJudge judge, ReadOnlySpan<double> prices, int context, StatsCounter stats)
    {
        var asked = OrderAsked();
        judge.Credit(asked, outcome.Emitted, prices, _credits);
        for (var i = 0; i < asked.Length; i++)
        {
            var slot = _slots[asked[i]];
            slot.RoundTicks += Show(slot, outcome);
            var seconds = Seconds(slot.RoundTicks) + SecondsOfProbes(slot.Probes, context);
            slot.Account.Observe(seconds, _credits[i].Added, _credits[i].Alone, _core.TokensPerSecond);
        }

        for (var i = 0; i < _slots.Length; i++)
        {
            DecideNext(_slots[i], outcome);
            stats.Of(i).Ticks += _slots[i].RoundTicks;
            (_slots[i].RoundTicks, _slots[i].Probes, _slots[i].WasAsked) = (0, 0, false);
        }
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            if (_followsCost)
            {
                _core.Remember(_set, slot.Number, slot.Account); // others ask whatever it costs, so their debts say nothing
            }

            slot.Drafter.Dispose();
        }
    }

    /// <summary>Whether to ask a drafter in the next round. One that rests is shown rounds as far as its account allows, and in any case the
    /// one before it is asked.</summary>
    private void DecideNext(DrafterSlot slot, RoundOutcome outcome)
    {
        slot.Account.Earn(outcome.Emitted.Length);
        slot.AsksNext = !_followsCost || slot.Account.ShouldAsk;
        if (!slot.WasAsked && (slot.AsksNext || slot.Account.CanLearn(_core.TokensPerSecond)))
        {
            slot.RoundTicks = Show(slot, outcome);
            slot.Account.ObserveLearning(Seconds(slot.RoundTicks), _core.TokensPerSecond);
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

        double Surplus(int drafter) => _slots[drafter].Account.SurplusAlone(_core.TokensPerSecond);
    }

    private long Show(DrafterSlot slot, RoundOutcome outcome)
    {
        var start = _core.Clock.GetTimestamp();
        slot.Drafter.Observe(outcome);
        return _core.Clock.GetTimestamp() - start;
    }

    private double Seconds(long ticks) => (double)ticks / _core.Clock.TimestampFrequency;

    /// <summary>Probes are paid for by what their drafter has been giving; without that, only as many as its allowance pays for every round.</summary>
    private int ProbeBudget(DrafterSlot slot, int most, int position)
    {
        var one = _core.Cost.At(1, position);
        if (!_followsCost || SecondsOfProbes(most, position) < slot.Account.TokensPerRound * one)
        {
            return most;
        }

        var afforded = 0;
        while (afforded < most && SecondsOfProbes(afforded + 1, position) <= DrafterAccount.Allowance * one)
        {
            afforded++;
        }

        return afforded;
    }

    private double SecondsOfProbes(int probes, int position) => _core.Cost.At(1 + probes, position) - _core.Cost.At(1, position);
}
