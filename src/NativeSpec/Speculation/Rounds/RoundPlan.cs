using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.Rounds;

/// <summary>Which nodes of all sequences' trees a round computes.</summary>
internal sealed class RoundPlan(SpeculationCore core)
{
    private readonly Planner _planner = new(core.MaxNodes);
    private readonly List<Drafting> _sequences = [];

    /// <summary>Tokens that the sequences have, on average.</summary>
    public int Context { get; private set; }

    /// <summary>Chooses among the candidates of the sequences; <see cref="Of"/> then has the nodes.</summary>
    /// <param name="sequences">The sequences, whose trees have been built.</param>
    public void Choose(List<Drafting> sequences)
    {
        _sequences.Clear();
        _planner.Clear();
        var (forced, gain, seen) = (0, 0.0, 0L);
        foreach (var sequence in sequences)
        {
            var offer = sequence.Offer(_sequences.Count, _planner);
            forced += offer.Forced;
            gain += offer.Gain;
            seen += sequence.Text.Length - 1;
            _sequences.Add(sequence);
        }

        if (_sequences.Count == 0)
        {
            return;
        }

        var began = core.Clock.GetTimestamp();
        Context = (int)(seen / _sequences.Count);
        _planner.Choose(_sequences.Count, forced, gain, core.Cost, Context, core.TokensPerSecond);
        foreach (var choice in _planner.Chosen)
        {
            _sequences[choice.Sequence].Planned.Choose(choice.Node);
        }

        var ticks = core.Clock.GetTimestamp() - began;
        foreach (var sequence in _sequences)
        {
            sequence.Stats.PlanTicks += ticks;
            sequence.Planned.End();
        }
    }

    /// <summary>The nodes that are computed of a sequence's tree, parents first; forced ones bring their ancestors.</summary>
    /// <param name="sequence">Its place among those that were chosen for.</param>
    public ReadOnlySpan<PlannedNode> Of(int sequence) => _sequences[sequence].Planned.Nodes;
}
