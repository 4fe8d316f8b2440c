using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>One turn of the engine: every sequence's drafters propose, the planner shares the nodes out, one forward computes the forest of
/// all trees, every sequence walks along its own and commits the path. Allocates nothing once warm.</summary>
internal sealed class Round
{
    private readonly LlamaModel _model;
    private readonly SpeculationCore _speculation;
    private readonly int _prefillChunk;
    private readonly Forest _forest;
    private readonly ComputedForest _results;
    private readonly List<Sequence> _computed;
    private readonly int[] _remaining; // [prompts] tokens left to compute
    private readonly int[] _shares;    // [prompts] rows of this round
    private int _context; // tokens that the round's sequences have, on average

    /// <summary>Rounds of a model.</summary>
    /// <param name="model">The target.</param>
    /// <param name="speculation">What its sequences share.</param>
    /// <param name="prefillChunk">Most prompt tokens of a round.</param>
    public Round(LlamaModel model, SpeculationCore speculation, int prefillChunk)
    {
        (_model, _speculation, _prefillChunk) = (model, speculation, prefillChunk);
        _forest = new Forest(model.Limits.MaxSequences);
        _results = new ComputedForest(model, _forest);
        _computed = new List<Sequence>(model.Limits.MaxSequences);
        (_remaining, _shares) = (new int[model.Limits.MaxSequences], new int[model.Limits.MaxSequences]);
    }

    /// <summary>Computes the next step of <paramref name="active"/>: sequences that decode first, then prompts, among which
    /// <see cref="PromptSharing"/> shares the rows that are left. A sequence whose logits are unusable, or whose drafter throws, fails alone.</summary>
    /// <exception cref="OperationCanceledException">Nothing was computed or committed.</exception>
    public void Run(List<Sequence> active, CancellationToken cancellationToken)
    {
        var began = _speculation.Clock.GetTimestamp();
        _forest.Clear();
        _computed.Clear();
        Plan(active);
        var (decoding, nodes) = (_computed.Count, _forest.RowCount);
        AddPrompts(active);
        if (_computed.Count == 0)
        {
            return;
        }

        var forwardBegan = _speculation.Clock.GetTimestamp();
        _model.Forward(_forest, cancellationToken);
        var forward = _speculation.Clock.GetTimestamp() - forwardBegan;

        var emitted = 0;
        for (var i = 0; i < _computed.Count; i++)
        {
            emitted += Finish(_computed[i], i, decodes: i < decoding, forward);
        }

        if (decoding > 0 && nodes == _forest.RowCount)
        {
            _speculation.ObserveRound(nodes, _context, Seconds(forward), Seconds(_speculation.Clock.GetTimestamp() - began), emitted);
        }
    }

    private double Seconds(long ticks) => (double)ticks / _speculation.Clock.TimestampFrequency;

    /// <summary>Proposals and the planner's choice for all sequences that decode; adds their trees to the forest.</summary>
    private void Plan(List<Sequence> active)
    {
        var planner = _speculation.Planner;
        planner.Clear();
        var decoding = Math.Max(CountDecoding(active), 1);
        var (forced, gain, seen) = (0, 0.0, 0L);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 || !TryPropose(sequence, decoding))
            {
                continue;
            }

            var offer = sequence.Speculator.Offer(_computed.Count, planner);
            forced += offer.Forced;
            gain += offer.Gain;
            seen += sequence.Kv!.Length;
            _computed.Add(sequence);
        }

        if (_computed.Count == 0)
        {
            return;
        }

        var began = _speculation.Clock.GetTimestamp();
        _context = (int)(seen / _computed.Count);
        planner.Choose(_computed.Count, forced, gain, _speculation.Cost, _context, _speculation.TokensPerSecond);
        foreach (var choice in planner.Chosen)
        {
            _computed[choice.Sequence].Speculator.Choose(choice.Node);
        }

        var ticks = _speculation.Clock.GetTimestamp() - began;
        foreach (var sequence in _computed)
        {
            sequence.Speculator.Stats.PlanTicks += ticks;
            sequence.TakeCandidates();
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

    private bool TryPropose(Sequence sequence, int decoding)
    {
        try
        {
            sequence.Propose(_speculation.MaxNodes / decoding, decoding - 1);
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
        var prompts = 0;
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0)
            {
                _remaining[prompts++] = sequence.PromptRemaining;
            }
        }

        PromptSharing.Share(_remaining.AsSpan(0, prompts), Math.Min(_prefillChunk, _model.Limits.MaxRows - _forest.RowCount), _shares);
        var prompt = 0;
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 && _shares[prompt++] is > 0 and var rows)
            {
                var ends = sequence.TakePromptChunk(rows);
                _forest.Add(sequence.Kv!, sequence.Tree, ends ? sequence.Tree.Count - 1 : sequence.Tree.Count);
                _computed.Add(sequence);
            }
        }
    }

    /// <summary>Commits what was computed of a sequence and takes its tokens; returns how many.</summary>
    private int Finish(Sequence sequence, int index, bool decodes, long forwardTicks)
    {
        var speculator = sequence.Speculator;
        try
        {
            if (!decodes && !FinishPrompt(sequence))
            {
                return 0;
            }

            var emitted = sequence.Walk(_results, index);
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

            if (decodes)
            {
                speculator.WriteTrace(forwardTicks);
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

    /// <summary>Commits a piece of a prompt; true when the text begins with it.</summary>
    private static bool FinishPrompt(Sequence sequence)
    {
        sequence.Kv!.CommitChain(sequence.Tree.Count);
        if (!sequence.PromptBeginsText)
        {
            return false;
        }

        sequence.Speculator.ReadPrompt(sequence.Kv.Length);
        if (sequence.PromptRemaining > 0)
        {
            return false;
        }

        sequence.Speculator.BeginText(sequence.Tree.Count - 1);
        return true;
    }
}
