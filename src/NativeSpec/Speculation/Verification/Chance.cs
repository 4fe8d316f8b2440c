using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>The random decisions of a walk and of a sampling draft. Everything random in speculation goes through these two calls, so that
/// a test can take every branch in turn and add up the law of the text exactly.</summary>
internal interface IChance
{
    /// <summary>The token after a row of logits, as the row's choice says: one of the distribution that it describes.</summary>
    int Choose(Chooser chooser, ReadOnlySpan<float> logits, in RowChoice choice);

    /// <summary>True with the given probability.</summary>
    bool Accept(double probability);

    /// <summary>A token of the distribution.</summary>
    int Draw(TokenDistribution distribution);

    /// <summary>An index i with probability weights[i] / total.</summary>
    int Draw(ReadOnlySpan<float> weights, double total);
}

/// <summary>The counter-based numbers of (seed, position). A token is chosen exactly as plain decoding would, so a walk over deterministic
/// children writes the same text as plain decoding with the same seed. The other decisions have numbers of their own: what accepts a
/// drawn child must not depend on the noise that chooses.</summary>
internal sealed class CounterChance(ulong seed, uint firstDraw = 0) : IChance
{
    private long _position;
    private uint _draw;

    /// <summary>Moves to the position of the token to choose next.</summary>
    public void MoveTo(long position)
    {
        _position = position;
        _draw = firstDraw;
    }

    public int Choose(Chooser chooser, ReadOnlySpan<float> logits, in RowChoice choice) => chooser.Choose(logits, choice);

    public bool Accept(double probability) => Next() < probability;

    public int Draw(TokenDistribution distribution) => distribution.Draw(Next());

    public int Draw(ReadOnlySpan<float> weights, double total) => Residual.IndexAt(weights, Next() * total);

    private double Next() => CounterRandom.Uniform(seed, _position, _draw++);
}
