using System.Numerics.Tensors;

namespace NativeSpec.Sampling;

/// <summary>The processed target distribution p of one position: candidate ids, ascending, and their probabilities. Its storage is made
/// once for a vocabulary and filled anew by every <see cref="Chooser.Process"/>.</summary>
/// <remarks>The order by id is the fixed order of every sum here, it is the same whichever filters were on, and two distributions in
/// this order can be compared by one merge. To draw without adding up a vocabulary, the sums of blocks of candidates are kept; a draw
/// steps over blocks and then walks within one.</remarks>
internal sealed class TokenDistribution
{
    private const int BlockLength = 256;

    private readonly int[] _allIds;      // [VocabSize]: 0, 1, 2, …
    private readonly int[] _keptIds;     // [VocabSize]
    private readonly float[] _weights;   // [VocabSize]: probabilities once normalised
    private readonly double[] _blockSums;
    private double _total;
    private bool _isWholeVocabulary;

    /// <summary>Makes the storage; it holds no candidate yet.</summary>
    public TokenDistribution(int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        VocabSize = vocabSize;
        _allIds = new int[vocabSize];
        _keptIds = new int[vocabSize];
        _weights = new float[vocabSize];
        _blockSums = new double[(vocabSize + BlockLength - 1) / BlockLength];
        for (var id = 0; id < vocabSize; id++)
        {
            _allIds[id] = id;
        }
    }

    /// <summary>Ids are below this.</summary>
    public int VocabSize { get; }

    /// <summary>Number of candidates.</summary>
    public int Count { get; private set; }

    /// <summary>The candidates, ascending. [<see cref="Count"/>]</summary>
    public ReadOnlySpan<int> Ids => (_isWholeVocabulary ? _allIds : _keptIds).AsSpan(0, Count);

    /// <summary>The candidates' probabilities; one may be 0 by underflow. [<see cref="Count"/>]</summary>
    public ReadOnlySpan<float> Probabilities => _weights.AsSpan(0, Count);

    /// <summary>Where a sampler writes the ids it keeps, ascending. [<see cref="VocabSize"/>]</summary>
    internal Span<int> KeptIds => _keptIds;

    /// <summary>Where a sampler writes weights that are not normalised yet. [<see cref="VocabSize"/>]</summary>
    internal Span<float> Weights => _weights;

    /// <summary>The probability of a token; 0 when it is no candidate.</summary>
    public float Probability(int id)
    {
        var index = Ids.BinarySearch(id);
        return index < 0 ? 0 : _weights[index];
    }

    /// <summary>The token at <paramref name="u"/> of the cumulative distribution, in the order of ids. Never one of probability 0: where
    /// rounding pushes <paramref name="u"/> past the last step, the last token that has a probability is drawn.</summary>
    /// <param name="u">A uniform number in [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="u"/> is not in [0, 1).</exception>
    /// <exception cref="InvalidOperationException">The distribution was never filled.</exception>
    public int Draw(double u)
    {
        if (!(u >= 0 && u < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(u), u, "a uniform random number lies in [0, 1)");
        }

        // The probabilities are rounded, so they add up to a total that is not exactly 1.
        var target = u * _total;
        var cumulative = 0.0;
        var candidate = -1;
        for (var block = 0; block * BlockLength < Count; block++)
        {
            if (cumulative + _blockSums[block] <= target)
            {
                candidate = _blockSums[block] > 0 ? block : candidate;
                cumulative += _blockSums[block];
                continue;
            }

            return DrawWithin(block, cumulative, target);
        }

        return candidate >= 0
            ? DrawWithin(candidate, cumulative, double.PositiveInfinity)
            : throw new InvalidOperationException("the distribution has no candidates: fill it by Chooser.Process first");
    }

    /// <summary>Makes one token certain.</summary>
    internal void SetCertain(int id)
    {
        _keptIds[0] = id;
        _weights[0] = 1;
        Normalise(1, isWholeVocabulary: false);
    }

    /// <summary>Turns the first <paramref name="count"/> weights into probabilities.</summary>
    /// <param name="count">Number of candidates.</param>
    /// <param name="isWholeVocabulary">The candidates are all ids, and <see cref="KeptIds"/> was not written.</param>
    internal void Normalise(int count, bool isWholeVocabulary)
    {
        Count = count;
        _isWholeVocabulary = isWholeVocabulary;
        var weights = _weights.AsSpan(0, count);
        TensorPrimitives.Divide(weights, (float)Softmax.Sum(weights), weights);
        _total = 0;
        for (var block = 0; block * BlockLength < count; block++)
        {
            _blockSums[block] = Softmax.Sum(Block(block));
            _total += _blockSums[block];
        }
    }

    private ReadOnlySpan<float> Block(int block) =>
        _weights.AsSpan(block * BlockLength, Math.Min(BlockLength, Count - (block * BlockLength)));

    /// <summary>The first token of a block at which the running sum passes the target, else the block's last with a probability.</summary>
    private int DrawWithin(int block, double cumulative, double target)
    {
        var drawn = -1;
        var probabilities = Block(block);
        for (var i = 0; i < probabilities.Length && cumulative <= target; i++)
        {
            if (probabilities[i] > 0)
            {
                drawn = (block * BlockLength) + i;
                cumulative += probabilities[i];
            }
        }

        return Ids[drawn];
    }
}
