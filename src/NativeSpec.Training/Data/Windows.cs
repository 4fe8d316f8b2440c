using NativeSpec.Sampling;

namespace NativeSpec.Training.Data;

/// <summary>Cuts a stream of tokens into batches. Every epoch has its own cut and its own order, which follow from the seed and the epoch
/// alone: a step's batch does not depend on what was drawn before, so a run goes on wherever it stopped.</summary>
internal sealed class Windows
{
    private readonly int[] _tokens;
    private readonly int _length;
    private readonly int _lookahead;
    private readonly int _sequences;
    private readonly ulong _seed;
    private readonly int _perEpoch;
    private int[] _order = [];
    private long _orderEpoch = -1;

    /// <summary>Takes a stream.</summary>
    /// <param name="tokens">At least length + lookahead.</param>
    /// <param name="length">Positions of a sequence.</param>
    /// <param name="lookahead">Tokens behind it that are targets only.</param>
    /// <param name="sequences">Sequences of a batch.</param>
    /// <param name="seed">Decides cut and order.</param>
    public Windows(int[] tokens, int length, int lookahead, int sequences, ulong seed)
    {
        (_tokens, _length, _lookahead, _sequences, _seed) = (tokens, length, lookahead, sequences, seed);
        var whole = (tokens.Length - lookahead) / length;
        if (whole < 1)
        {
            throw new ArgumentException($"{tokens.Length} tokens; a sequence takes {length + lookahead}", nameof(tokens));
        }

        _perEpoch = Math.Max(1, whole - 1); // one is left over, so that the cut can begin anywhere in the first
    }

    /// <summary>Batches in which every token is seen once, or nearly so.</summary>
    public double BatchesPerEpoch => (double)_perEpoch / _sequences;

    /// <summary>The batch of a step; the first is 1.</summary>
    public TokenBatch Batch(long step)
    {
        var stride = _length + _lookahead;
        var batch = new int[_sequences * stride];
        for (var s = 0; s < _sequences; s++)
        {
            var window = ((step - 1) * _sequences) + s;
            var (epoch, place) = (window / _perEpoch, (int)(window % _perEpoch));
            _tokens.AsSpan(Start(epoch) + (Order(epoch)[place] * _length), stride).CopyTo(batch.AsSpan(s * stride));
        }

        return new TokenBatch(batch, _sequences, _lookahead);
    }

    /// <summary>Batches of windows spread evenly over the stream, the same ones at every call.</summary>
    /// <param name="most">Most tokens to predict.</param>
    public IEnumerable<TokenBatch> Sample(long most)
    {
        var stride = _length + _lookahead;
        var all = (_tokens.Length - _lookahead) / _length;
        var taken = (int)Math.Clamp(most / _length, 1, all);
        for (var first = 0; first < taken; first += _sequences)
        {
            var count = Math.Min(_sequences, taken - first);
            var batch = new int[count * stride];
            for (var s = 0; s < count; s++)
            {
                var window = (int)((long)(first + s) * all / taken);
                _tokens.AsSpan(window * _length, stride).CopyTo(batch.AsSpan(s * stride));
            }

            yield return new TokenBatch(batch, count, _lookahead);
        }
    }

    private int Start(long epoch)
    {
        var slack = _tokens.Length - _lookahead - (_perEpoch * _length);
        return (int)(CounterRandom.Uniform(_seed, epoch, 0) * (slack + 1));
    }

    /// <summary>A permutation of the epoch's windows (Fisher and Yates).</summary>
    private int[] Order(long epoch)
    {
        if (epoch != _orderEpoch)
        {
            _order = [.. Enumerable.Range(0, _perEpoch)];
            for (var i = _perEpoch - 1; i > 0; i--)
            {
                var j = (int)(CounterRandom.Uniform(_seed, (epoch << 32) + i, 1) * (i + 1));
                (_order[i], _order[j]) = (_order[j], _order[i]);
            }

            _orderEpoch = epoch;
        }

        return _order;
    }
}
