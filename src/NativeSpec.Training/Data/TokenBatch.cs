namespace NativeSpec.Training.Data;

/// <summary>Sequences of equal length side by side, with the tokens that follow them: row s · Length + t is position t of sequence s.</summary>
internal sealed class TokenBatch
{
    private readonly int[] _tokens; // [sequences, length + lookahead]
    private readonly int _stride;

    /// <summary>Makes a batch.</summary>
    /// <param name="tokens">[sequences, length + lookahead].</param>
    /// <param name="sequences">Sequences there are.</param>
    /// <param name="lookahead">Tokens behind each sequence that are targets only, 1 or more.</param>
    public TokenBatch(int[] tokens, int sequences, int lookahead)
    {
        _tokens = tokens;
        _stride = tokens.Length / sequences;
        Sequences = sequences;
        Lookahead = lookahead;
        Length = _stride - lookahead;
        if (Length < 1 || _stride * sequences != tokens.Length)
        {
            throw new ArgumentException($"{tokens.Length} tokens are not {sequences} sequences with {lookahead} tokens behind each", nameof(tokens));
        }
    }

    /// <summary>Sequences side by side.</summary>
    public int Sequences { get; }

    /// <summary>Positions of a sequence.</summary>
    public int Length { get; }

    /// <summary>How far targets reach beyond a sequence.</summary>
    public int Lookahead { get; }

    /// <summary>Sequences · Length.</summary>
    public int Rows => Sequences * Length;

    /// <summary>The token at a row.</summary>
    public int Input(int row) => Ahead(row, 0);

    /// <summary>The token <paramref name="shift"/> places behind a row's, at most <see cref="Lookahead"/>.</summary>
    public int Ahead(int row, int shift) => _tokens[(row / Length * _stride) + (row % Length) + shift];
}
