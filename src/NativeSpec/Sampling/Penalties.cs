namespace NativeSpec.Sampling;

/// <summary>The first three steps of sampling: what the text so far and the request's bias add to single scores. Each touches the tokens
/// it speaks of and no others, so it costs nothing in the size of the vocabulary.</summary>
internal sealed class Penalties
{
    private readonly float _repetition;
    private readonly float _presence;
    private readonly float _frequency;
    private readonly int[] _biasedTokens; // ascending
    private readonly float[] _biases;

    /// <summary>Takes the options that a <see cref="SamplingOptions.Validate"/> has passed.</summary>
    public Penalties(SamplingOptions options)
    {
        _repetition = options.RepetitionPenalty ?? 1;
        _presence = options.PresencePenalty;
        _frequency = options.FrequencyPenalty;
        var biases = (options.LogitBias ?? new Dictionary<int, float>()).Where(bias => bias.Value != 0).OrderBy(bias => bias.Key).ToArray();
        _biasedTokens = [.. biases.Select(bias => bias.Key)];
        _biases = [.. biases.Select(bias => bias.Value)];
    }

    /// <summary>Whether anything depends on the tokens of the text.</summary>
    public bool NeedsHistory => _repetition != 1 || _presence != 0 || _frequency != 0;

    /// <summary>Whether any score can change.</summary>
    public bool AreActive => NeedsHistory || _biases.Length > 0;

    /// <summary>Changes the scores in place.</summary>
    /// <param name="scores">[vocab], logits on entry.</param>
    /// <param name="history">The text before the token to choose; it tracks tokens if <see cref="NeedsHistory"/>.</param>
    public void Apply(Span<float> scores, TokenHistory history)
    {
        if (_repetition != 1)
        {
            foreach (var token in history.Seen)
            {
                var score = scores[token];
                scores[token] = score < 0 ? score * _repetition : score / _repetition;
            }
        }

        if (_presence != 0 || _frequency != 0)
        {
            foreach (var token in history.SeenInOutput)
            {
                scores[token] -= _presence + (_frequency * history.OutputCount(token));
            }
        }

        for (var i = 0; i < _biases.Length; i++)
        {
            scores[_biasedTokens[i]] += _biases[i];
        }
    }
}
