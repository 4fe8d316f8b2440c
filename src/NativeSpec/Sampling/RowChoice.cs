namespace NativeSpec.Sampling;

/// <summary>A token of the text before a position, as penalties see it.</summary>
/// <param name="Id">The token.</param>
/// <param name="InOutput">How often it stands in the output; 0 when only the prompt holds it.</param>
internal readonly record struct SeenToken(int Id, int InOutput);

/// <summary>All that stands between a row of logits and its token, as data: two devices that are given the same row and the same choice
/// take the same token.</summary>
internal readonly ref struct RowChoice
{
    /// <summary>The request's rule.</summary>
    public required SamplingRule Rule { get; init; }

    /// <summary>Absolute position of the token to choose, counted from the prompt's first token.</summary>
    public required long Position { get; init; }

    /// <summary>The distinct tokens of the text and of the path to the row, in any order; looked at where <see cref="SamplingRule.NeedsHistory"/>
    /// says so. <see cref="TokenHistory.Choice"/> fills it.</summary>
    public ReadOnlySpan<SeenToken> Seen { get; init; }

    /// <summary>[⌈vocab / 32⌉] the tokens that are allowed: bit i mod 32 of word i / 32 for token i. Empty: all are.</summary>
    public ReadOnlySpan<uint> Mask { get; init; }
}
