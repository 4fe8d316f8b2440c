using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>What one sequence's drafters are paid for a round, and so whom to ask in the next.</summary>
/// <param name="core">What is known of rates and costs.</param>
/// <param name="unplanned">Whether all are asked in every round, whatever it costs.</param>
/// <param name="slots">The drafters.</param>
/// <param name="judge">Says what their candidates were worth.</param>
/// <param name="context">The text.</param>
/// <param name="tree">The candidates.</param>
/// <param name="stats">Receives the drafters' times.</param>
internal sealed class DrafterAccounts(
    SpeculationCore core, bool unplanned, List<DrafterSlot> slots, ProposalJudge judge, DraftContext context, DraftTree tree, StatsCounter stats)
{
    private readonly double[] _prices = new double[tree.Capacity + 1];
    private readonly int[] _asked = new int[slots.Count];
    private readonly (double Added, double Alone)[] _credits = new (double, double)[slots.Count];
    private int _rested; // tokens that were written while drafters rested, and are not in their accounts yet

    /// <summary>Shows the round to those that were asked, and pays them: first the most useful, so that nobody is paid for what it repeats.</summary>
    public void SettleAsked(WalkResult result)
    {
        var asked = OrderAsked();
        if (asked.IsEmpty)
        {
            return;
        }

        judge.Credit(asked, result.Emitted, Prices(result.Emitted.Length), _credits);
        for (var i = 0; i < asked.Length; i++)
        {
            var slot = slots[asked[i]];
            slot.RoundTicks += Show(slot, result);
            var seconds = Seconds(slot.RoundTicks) + SecondsOfProbes(slot.Probes);
            slot.Account.Observe(seconds, _credits[i].Added, _credits[i].Alone, core.TokensPerSecond);
        }
    }

    /// <summary>Whether drafters had no part in the last round, and none was expected for them in the next.</summary>
    public bool Rests => _rested > 0;

    /// <summary>Takes in a round that drafters had no part in, as they will have none in the next. Nothing of theirs is touched: where many requests share a round
    /// most rounds are such, and what lies in no cache costs more to look at than to reckon with.</summary>
    public void Rest(int tokens)
    {
        if (_rested == 0)
        {
            slots.ForEach(slot => slot.AsksNext = false);
        }

        _rested += tokens;
    }

    /// <summary>Fills in the allowance of the rounds in which drafters rested.</summary>
    public void EndRest()
    {
        for (var i = 0; _rested > 0 && i < slots.Count; i++)
        {
            slots[i].Account.Rest(_rested);
        }

        _rested = 0;
    }

    /// <summary>Decides whom to ask in the next round. Who rests is shown rounds as far as its account allows, and in any case the one before it
    /// is asked.</summary>
    /// <param name="result">The round.</param>
    /// <param name="isOpen">Whether drafters could be asked in it; where they could not, nobody learns from it but for the next.</param>
    /// <param name="mayOpenAfter">Whether they may be asked in the next.</param>
    public void DecideNext(WalkResult result, bool isOpen, bool mayOpenAfter)
    {
        EndRest();
        for (var i = 0; i < slots.Count; i++)
        {
            var slot = slots[i];
            slot.Account.Earn(result.Emitted.Length);
            slot.AsksNext = unplanned || (mayOpenAfter && slot.Account.ShouldAsk);
            if (!slot.WasAsked && (slot.AsksNext || (isOpen && slot.Account.CanLearn(core.TokensPerSecond))))
            {
                slot.RoundTicks = Show(slot, result);
                slot.Account.ObserveLearning(Seconds(slot.RoundTicks), core.TokensPerSecond);
            }

            stats.Of(i).Ticks += slot.RoundTicks;
        }
    }

    /// <summary>Those that were asked, in the order of what they have left over alone: the most useful first.</summary>
    private ReadOnlySpan<int> OrderAsked()
    {
        var count = 0;
        for (var i = 0; i < slots.Count; i++)
        {
            if (!slots[i].WasAsked)
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

        double Surplus(int drafter) => slots[drafter].Account.SurplusAlone(core.TokensPerSecond);
    }

    private long Show(DrafterSlot slot, WalkResult result)
    {
        var start = core.Clock.GetTimestamp();
        slot.Drafter.Observe(result);
        return core.Clock.GetTimestamp() - start;
    }

    /// <summary>Probes are paid for by what their drafter has been giving; without that, only as many as its allowance pays for every round.</summary>
    public int ProbeBudget(DrafterSlot slot)
    {
        var (most, one) = (tree.ForcedLeft, core.Cost.At(1, context.Text.Length));
        if (unplanned || SecondsOfProbes(most) < slot.Account.TokensPerRound * one)
        {
            return most;
        }

        var afforded = 0;
        while (afforded < most && SecondsOfProbes(afforded + 1) <= DrafterAccount.Allowance * one)
        {
            afforded++;
        }

        return afforded;
    }

    private double SecondsOfProbes(int probes) => core.Cost.At(1 + probes, context.Text.Length) - core.Cost.At(1, context.Text.Length);

    /// <summary>What the first, second, … candidate of a tree must promise to be computed, in tokens that could be written in its time.</summary>
    private ReadOnlySpan<double> Prices(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _prices[i] = context.SecondsOfNodeAfter(1 + i) * core.TokensPerSecond;
        }

        return _prices.AsSpan(0, count);
    }

    private double Seconds(long ticks) => (double)ticks / core.Clock.TimestampFrequency;
}
