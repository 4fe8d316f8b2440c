namespace NativeSpec.Speculation.Planning;

/// <summary>Lets a drafter that rests go on learning as long as that takes a small part of the time: every round where learning is cheap
/// beside a forward, now and then where it is not.</summary>
internal sealed class LearningAllowance
{
    /// <summary>The part of the time that learning may take.</summary>
    private const double Share = 1.0 / 512;

    private double _saved;
    private double _cost;

    /// <summary>One that goes on where this one is.</summary>
    public LearningAllowance Clone() => (LearningAllowance)MemberwiseClone();

    /// <summary>Whether a round may be learnt from.</summary>
    /// <param name="seconds">The time since this was asked last.</param>
    public bool Allows(double seconds)
    {
        _saved = Math.Min(_saved + (Share * seconds), _cost);
        return _saved >= _cost;
    }

    /// <summary>Notes what learning from a round took.</summary>
    public void Spend(double seconds)
    {
        _saved = 0;
        _cost += (_cost == 0 ? 1 : 0.1) * (seconds - _cost);
    }
}
