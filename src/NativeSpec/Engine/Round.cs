using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Engine;

/// <summary>One turn of the engine: every sequence puts its tree into one forest, one forward computes it, every sequence chooses and
/// commits. Allocates nothing once warm.</summary>
internal sealed class Round(LlamaModel model, int prefillChunk)
{
    private readonly Forest _forest = new(model.Limits.MaxSequences);
    private readonly List<Sequence> _computed = new(model.Limits.MaxSequences);

    /// <summary>Computes the next step of <paramref name="active"/>: sequences that decode first, then prompts, in order, as far as the
    /// round's rows go. A sequence whose logits are unusable fails alone.</summary>
    /// <exception cref="OperationCanceledException">Nothing was computed or committed.</exception>
    public void Run(List<Sequence> active, CancellationToken cancellationToken)
    {
        _forest.Clear();
        _computed.Clear();
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining == 0)
            {
                sequence.TakeRoot();
                Add(sequence, firstLogitNode: 0);
            }
        }

        var rowsLeft = Math.Min(prefillChunk, model.Limits.MaxRows - _forest.RowCount);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0 && rowsLeft > 0)
            {
                var ends = sequence.TakePromptChunk(rowsLeft);
                rowsLeft -= sequence.Tree.Count;
                Add(sequence, ends ? sequence.Tree.Count - 1 : sequence.Tree.Count);
            }
        }

        model.Forward(_forest, cancellationToken);
        for (var i = 0; i < _computed.Count; i++)
        {
            var sequence = _computed[i];
            sequence.Kv!.CommitChain(sequence.Tree.Count);
            if (sequence.PromptRemaining > 0)
            {
                continue;
            }

            try
            {
                sequence.Advance(model.Logits(_forest.LogitRow(i, sequence.Tree.Count - 1)));
            }
            catch (NonFiniteLogitsException error)
            {
                sequence.Fail(error);
            }
        }
    }

    private void Add(Sequence sequence, int firstLogitNode)
    {
        _forest.Add(sequence.Kv!, sequence.Tree, firstLogitNode);
        _computed.Add(sequence);
    }
}
