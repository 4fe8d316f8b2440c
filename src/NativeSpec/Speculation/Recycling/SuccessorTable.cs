
namespace NativeSpec.Speculation.Recycling;

/// <summary>Token → the k tokens that the target last thought most likely after it, and how often the choice fell on each rank.</summary>
/// <remarks>Allocates once, when it sees the first logits and with them the size of the vocabulary.</remarks>
internal sealed class SuccessorTable(int k)
{
    /// <summary>Before anything was seen, rank r is trusted 0.5/(r+1)², with the weight of this many choices.</summary>
    private const float PriorWeight = 32;

    /// <summary>Choices after which the counts are halved, so that old ones fade.</summary>
    private const int Horizon = 4096;

    private readonly int[] _hits = new int[k];
    private int _choices;
    private int _vocabSize;
    private int[] _successors = [];

    /// <summary>Successors of a token, most likely first; empty for a token not seen, −1 after the last of fewer than k.</summary>
    public ReadOnlySpan<int> Of(int token)
        => (uint)token < (uint)_vocabSize && _successors[token * k] >= 0 ? _successors.AsSpan(token * k, k) : [];

    /// <summary>The probability that the target chooses the successor of a rank.</summary>
    public float Trust(int rank) => (_hits[rank] + (PriorWeight * 0.5f / ((rank + 1) * (rank + 1)))) / (_choices + PriorWeight);

    /// <summary>Learns which of a token's successors the target chose; a token not in the table teaches nothing.</summary>
    public void Count(int token, int chosen)
    {
        var successors = Of(token);
        if (successors.IsEmpty)
        {
            return;
        }

        _choices++;
        var rank = successors.IndexOf(chosen);
        if (rank >= 0)
        {
            _hits[rank]++;
        }

        if (_choices >= Horizon)
        {
            _choices /= 2;
            foreach (ref var hits in _hits.AsSpan())
            {
                hits /= 2;
            }
        }
    }

    /// <summary>Makes room for a vocabulary, unless there is.</summary>
    /// <exception cref="InvalidOperationException">There is, for another one.</exception>
    public void Require(int vocabSize)
    {
        if (_vocabSize == 0)
        {
            _vocabSize = vocabSize;
            _successors = new int[checked(_vocabSize * k)];
            Array.Fill(_successors, -1);
        }

        if (vocabSize != _vocabSize)
        {
            throw new InvalidOperationException(
                $"the table of successors is for a vocabulary of {_vocabSize} tokens and was shown {vocabSize} logits; "
                    + "use one TokenRecyclingDrafter per model");
        }
    }

    /// <summary>Where the successors of a token are written, most likely first, −1 after the last of fewer than k; nowhere for a token outside the
    /// vocabulary.</summary>
    public Span<int> Learn(int token) => (uint)token < (uint)_vocabSize ? _successors.AsSpan(token * k, k) : [];
}
