using System.Diagnostics;
using NativeSpec.Model;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>One turn of the engine: every sequence's drafters propose, the planner shares the nodes out, one forward computes the forest of
/// all trees, every sequence walks along its own and commits the path. Allocates nothing once warm.</summary>
internal sealed class Round(LlamaModel model, SpeculationCore speculation, int prefillChunk)
{
    private readonly Forest _forest = new(model.Limits.MaxSequences);
    private readonly List<Sequence> _computed = new(model.Limits.MaxSequences);

    /// <summary>Computes the next step of <paramref name="active"/>: sequences that decode first, then prompts, in order, as far as the
    /// round's rows go. A sequence whose logits are unusable, or whose drafter throws, fails alone.</summary>
    /// <exception cref="OperationCanceledException">Nothing was computed or committed.</exception>
    public void Run(List<Sequence> active, CancellationToken cancellationToken)
    {
        var began = Stopwatch.GetTimestamp();
        _forest.Clear();
        _computed.Clear();
        Plan(active);
        var (decoding, nodes) = (_computed.Count, _forest.RowCount);
        AddPrompts(active);
        if (_computed.Count == 0)
        {
            return;
        }

        var forwardBegan = Stopwatch.GetTimestamp();
        model.Forward(_forest, cancellationToken);
        var forward = Stopwatch.GetTimestamp() - forwardBegan;

        var emitted = 0;
        for (var i = 0; i < _computed.Count; i++)
        {
            emitted += Finish(_computed[i], i, decodes: i < decoding, forward);
        }

        if (decoding > 0 && nodes == _forest.RowCount)
        {
            speculation.ObserveRound(nodes, Seconds(forward), Seconds(Stopwatch.GetTimestamp() - began), emitted);
        }
    }

    private static double Seconds(long ticks) => (double)ticks / Stopwatch.Frequency;

    /// <summary>Proposals and the planner's choice for all sequences that decode; adds their trees to the forest.</summary>
    private void Plan(List<Sequence> active)
    {
        var planner = speculation.Planner;
        planner.Clear();
        var share = speculation.MaxNodes / Math.Max(CountDecoding(active), 1);
        var (forced, gain) = (0, 0.0);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 || !TryPropose(sequence, share))
            {
                continue;
            }

            var offer = sequence.Speculator.Offer(_computed.Count, planner);
            forced += offer.Forced;
            gain += offer.Gain;
            _computed.Add(sequence);
        }

        if (_computed.Count == 0)
        {
            return;
        }

        var began = Stopwatch.GetTimestamp();
        planner.Choose(_computed.Count, forced, gain, speculation.Cost);
        foreach (var choice in planner.Chosen)
        {
            _computed[choice.Sequence].Speculator.Choose(choice.Node);
        }

        var ticks = Stopwatch.GetTimestamp() - began;
        foreach (var sequence in _computed)
        {
            sequence.Speculator.Stats.PlanTicks += ticks;
            sequence.Speculator.FillForward(sequence.Tree);
            _forest.Add(sequence.Kv!, sequence.Tree, firstLogitNode: 0);
        }
    }

    private static int CountDecoding(List<Sequence> active)
    {
        var count = 0;
        foreach (var sequence in active)
        {
            count += sequence.PromptRemaining == 0 ? 1 : 0;
        }

        return count;
    }

    private static bool TryPropose(Sequence sequence, int share)
    {
        try
        {
            sequence.Propose(share);
            return true;
        }
#pragma warning disable CA1031 // A drafter may be anybody's code; what it throws is its request's, not its neighbours'.
        catch (Exception error)
#pragma warning restore CA1031
        {
            sequence.Fail(error);
            return false;
        }
    }

    private void AddPrompts(List<Sequence> active)
    {
        var rowsLeft = Math.Min(prefillChunk, model.Limits.MaxRows - _forest.RowCount);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 && rowsLeft > 0)
            {
                var ends = sequence.TakePromptChunk(rowsLeft);
                rowsLeft -= sequence.Tree.Count;
                _forest.Add(sequence.Kv!, sequence.Tree, ends ? sequence.Tree.Count - 1 : sequence.Tree.Count);
                _computed.Add(sequence);
            }
        }
    }

    /// <summary>Commits what was computed of a sequence and takes its tokens; returns how many.</summary>
    private int Finish(Sequence sequence, int index, bool decodes, long forwardTicks)
    {
        var speculator = sequence.Speculator;
        if (!decodes)
        {
            sequence.Kv!.CommitChain(sequence.Tree.Count);
            if (sequence.PromptRemaining > 0)
            {
                return 0;
            }

            speculator.BeginText(sequence.Tree.Count - 1);
        }

        try
        {
            var emitted = sequence.Walk(model, _forest, index);
            if (decodes)
            {
                sequence.Kv!.Commit(speculator.CommittedPath);
                speculator.Stats.Rounds++;
                speculator.Stats.Emitted += emitted;
                speculator.Stats.VerifyTicks += forwardTicks;
            }

            if (!sequence.IsFinished)
            {
                speculator.Observe();
            }

            return emitted;
        }
#pragma warning disable CA1031 // Unusable logits and drafters' mistakes end one request.
        catch (Exception error)
#pragma warning restore CA1031
        {
            sequence.Fail(error);
            return 0;
        }
    }
}
