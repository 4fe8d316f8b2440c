namespace NativeSpec.Sampling;

/// <summary>The arg-max over the kept tokens of (zᵢ − max z) / T + gᵢ, in float64, equal sums by lowest id; gᵢ is the <see cref="GumbelNoise"/> of the
/// token. It draws from softmax(z / T) over the kept tokens without computing it.</summary>
/// <remarks>
/// <para><b>Exact pruning.</b> In the other form of the same race, a token with Eᵢ = −ln uᵢ beats the best sum b so far only if
/// Eᵢ ≤ exp((zᵢ − max z) / T − b). In a block of 256 ids the exponential is at most that of the block's largest score, computed once. Since
/// Eᵢ ≥ 1 − uᵢ, a token whose prefix leaves 1 − uᵢ above that bound has lost, and a block whose bound is below every Eᵢ has lost without a
/// random number. The few that are left are bounded once more by their own score before their noise is computed.</para>
/// <para>On average a block leaves 256 times its largest probability, so it is a few hundred tokens for a whole vocabulary. The bounds carry
/// a slack for the rounding of the float32 exponential; they say what is looked at, never what wins.</para>
/// </remarks>
internal ref struct GumbelMax
{
    /// <summary>Factor by which a bound on Eᵢ is widened, far more than what rounding can take from it.</summary>
    public const double DefaultSlack = 1.0001;

    private const double Prefixes = 1 << 16;

    private readonly ReadOnlySpan<float> _scores;
    private readonly RowChoice _choice;
    private readonly KeptTokens _kept;
    private double _best;
    private double _bestExponential; // exp(−best)
    private int _bestId;

    private GumbelMax(ReadOnlySpan<float> scores, in RowChoice choice, in KeptTokens kept)
    {
        _scores = scores;
        _choice = choice;
        _kept = kept;
        _best = double.NegativeInfinity;
        _bestId = -1;
    }

    /// <summary>Blocks of a vocabulary.</summary>
    public static int BlocksOf(int vocabSize) => (vocabSize + NoiseScan.BlockLength - 1) / NoiseScan.BlockLength;

    /// <summary>Finds the token.</summary>
    /// <param name="scores">[vocab] z: no NaN, no +∞.</param>
    /// <param name="blockMaxima">[blocks] the largest score of each block.</param>
    /// <param name="choice">Seed, position and temperature, above 0.</param>
    /// <param name="kept">Which tokens the filters leave; one with the largest score is among them.</param>
    /// <param name="weights">[blocks] to work in.</param>
    /// <param name="scan">The vectors to use.</param>
    /// <param name="slack">By how much bounds are widened.</param>
    public static int Find(
        ReadOnlySpan<float> scores, ReadOnlySpan<float> blockMaxima, in RowChoice choice, in KeptTokens kept, Span<float> weights,
        NoiseScan.Width scan, double slack = DefaultSlack)
    {
        var race = new GumbelMax(scores, choice, kept);
        var (seed, position) = (choice.Rule.Seed, choice.Position);

        // The token with the largest score sets a mark that most others do not reach.
        var likeliest = LogitScan.IndexOf(scores, kept.Max);
        race.Enter(likeliest, GumbelNoise.PrefixOf(seed, position, likeliest));
        Softmax.Weights(blockMaxima, kept.Max, kept.Temperature, weights);
        Span<NoisePrefix> found = stackalloc NoisePrefix[NoiseScan.BlockLength];
        for (var block = 0; block < blockMaxima.Length; block++)
        {
            var largest = weights[block] * race._bestExponential * slack;
            if (largest < GumbelNoise.LeastExponential || blockMaxima[block] < kept.Cut.Score)
            {
                continue;
            }

            var least = (ushort)(ushort.MaxValue - (int)Math.Min(ushort.MaxValue, largest * Prefixes));
            var count = scan(seed, position, block, least, found);
            foreach (var (inBlock, prefix) in found[..count])
            {
                var id = (block * NoiseScan.BlockLength) + inBlock;
                if (id < scores.Length)
                {
                    race.Enter(id, prefix);
                }
            }
        }

        return race._bestId;
    }

    private void Enter(int id, ushort prefix)
    {
        var score = _scores[id];
        var relative = ((double)score - _kept.Max) / _kept.Temperature;
        if (relative + GumbelNoise.BoundOf(prefix) < _best || !_kept.Has(id, score))
        {
            return;
        }

        var sum = relative + GumbelNoise.Of(_choice.Rule.Seed, _choice.Position, id, prefix);
        if (sum > _best || (sum == _best && id < _bestId))
        {
            (_best, _bestId) = (sum, id);
            _bestExponential = Math.Exp(-sum);
        }
    }
}
