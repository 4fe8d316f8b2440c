using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>The random decisions of a residual walk and of a sampling draft. They go through these calls, so that a test can take every branch in
/// turn and add up the distribution of the text exactly.</summary>
internal interface IChance
{
    /// <summary>Moves to the position of the token to choose next.</summary>
    void MoveTo(long position);

    /// <summary>True with the given probability.</summary>
    bool Accept(double probability);

    /// <summary>A token of the distribution.</summary>
    int Draw(TokenDistribution distribution);

    /// <summary>An index i with probability weights[i] / total.</summary>
    int Draw(ReadOnlySpan<float> weights, double total);
}

/// <summary>The counter-based numbers of (seed, position), apart from the noise that chooses tokens: what accepts a sampled child must not depend on
/// that.</summary>
internal sealed class CounterChance(ulong seed, uint firstDraw = 0) : IChance
{
    private long _position;
    private uint _draw;

    public void MoveTo(long position)
    {
        _position = position;
        _draw = firstDraw;
    }

    public bool Accept(double probability) => Next() < probability;

    public int Draw(TokenDistribution distribution) => distribution.Draw(Next());

    public int Draw(ReadOnlySpan<float> weights, double total) => Residual.IndexAt(weights, Next() * total);

    private double Next() => CounterRandom.Uniform(seed, _position, _draw++);
}
