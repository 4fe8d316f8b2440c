using NativeSpec.Sampling;

namespace NativeSpec.Model;

/// <summary>The rows of the last forward, wherever they lie: they are asked questions, and a question is answered where its row lies. Rows are
/// counted as <see cref="Forest.LogitRow"/> counts them. Valid until the next forward.</summary>
/// <remarks>Everything is of the model's own distribution, the softmax of its logits; only <see cref="Choose"/> knows a request's rule.</remarks>
internal interface IForwardResult
{
    /// <summary>The row's token, by the choices that its tree was added with (<see cref="Forest.Add"/>).</summary>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    /// <exception cref="InvalidOperationException">The tree was added without choices, or the mask leaves nothing to choose from.</exception>
    int Choose(int row);

    /// <summary>Writes the most likely tokens with their log-probabilities, most likely first, ties by lowest id.</summary>
    /// <param name="row">The row.</param>
    /// <param name="into">[k], at most <see cref="TopTokens.MaxCount"/>.</param>
    /// <returns>How many there are: fewer than k where the model rules out all others.</returns>
    /// <exception cref="NonFiniteLogitsException">A logit is NaN or +∞, or all are −∞.</exception>
    int Top(int row, Span<TokenLogProb> into);

    /// <summary>Writes the most likely tokens' ids, most likely first, ties by lowest id; NaN and −∞ are passed over. Cheaper than asking for
    /// log-probabilities, which every logit of the row has a share in.</summary>
    /// <param name="row">The row.</param>
    /// <param name="into">[k], at most <see cref="TopTokens.MaxCount"/>.</param>
    /// <returns>How many there are.</returns>
    int Top(int row, Span<int> into);

    /// <summary>log p of a token.</summary>
    /// <exception cref="NonFiniteLogitsException">A logit is NaN or +∞, or all are −∞.</exception>
    float LogProb(int row, int token);

    /// <summary>[vocab] the whole row: free on the processor, a copy from a device.</summary>
    ReadOnlySpan<float> Logits(int row);

    /// <summary>The row's hidden state after the final norm, where it lies: what the output matrix reads, and heads that compute on the same
    /// backend.</summary>
    HiddenRow Hidden(int row);
}
