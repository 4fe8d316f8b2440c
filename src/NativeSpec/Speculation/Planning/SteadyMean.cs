namespace NativeSpec.Speculation.Planning;

/// <summary>An exponential moving average that one bad moment does not decide: a time many times larger than usual was disturbed by something
/// else on the machine, and counts as a slow one (winsorizing).</summary>
internal struct SteadyMean
{
    /// <summary>The mean is that of the last sixteen values or so; the first sixteen count alike.</summary>
    public const int Length = 16;

    /// <summary>A time more than so many times the usual one was disturbed.</summary>
    public const double MostOfUsual = 4;

    private int _count;

    /// <summary>Whether there is a value.</summary>
    public readonly bool IsKnown => _count > 0;

    /// <summary>The mean; 0 before the first value.</summary>
    public double Value { get; private set; }

    /// <summary>What a time counts as.</summary>
    /// <param name="seconds">The time as it was measured.</param>
    public readonly double Counted(double seconds) => IsKnown ? Math.Min(seconds, MostOfUsual * Value) : seconds;

    /// <summary>Takes in a value as it is.</summary>
    public void Add(double value)
    {
        _count = Math.Min(_count + 1, Length);
        Value += (value - Value) / _count;
    }

    /// <summary>Takes in a time, by what it counts as.</summary>
    public void AddTime(double seconds) => Add(Counted(seconds));
}
