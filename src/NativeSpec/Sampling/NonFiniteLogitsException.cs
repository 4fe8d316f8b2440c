namespace NativeSpec.Sampling;

/// <summary>The model's logits for a position leave nothing to choose from: one is not a number or +∞, or all are −∞. The weights
/// hold such numbers, or they overflow; the request that met it fails, its neighbours go on.</summary>
public sealed class NonFiniteLogitsException : InvalidOperationException
{
    /// <summary>Makes the exception with its facts.</summary>
    /// <param name="position">Absolute position, counted from the prompt's first token, of the token that was to be chosen.</param>
    /// <param name="largest">The largest logit found, which ought to be a finite number.</param>
    public NonFiniteLogitsException(long position, float largest)
        : base(FormattableString.Invariant(
            $"the largest logit for position {position} is {largest}, expected a finite number: look for NaN and overflow in the weights"))
    {
        Position = position;
        Largest = largest;
    }

    /// <summary>Absolute position, counted from the prompt's first token, of the token that was to be chosen.</summary>
    public long Position { get; }

    /// <summary>The largest logit: NaN when any is NaN, −∞ when all are, +∞ otherwise.</summary>
    public float Largest { get; }
}
