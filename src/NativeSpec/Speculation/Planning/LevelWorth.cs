namespace NativeSpec.Speculation.Planning;

/// <summary>What a level of candidates takes to compute, and how likely its best one is right, of late: by these a drafter that computes
/// decides how deep to go, and whether to begin at all.</summary>
/// <remarks>A level is a forward of a draft model or a Medusa head. All is reckoned in tokens that could be written meanwhile, which are 0
/// where the request does not follow cost.</remarks>
internal sealed class LevelWorth
{
    private const double Learning = 0.1;
    private const int DeclinesPerTiming = 64;  // rounds
    private const double LeastVariance = 0.01; // of rows: below it a slope would be noise

    private double _weight;    // of what was measured
    private double _rows;      // of a level, on average
    private double _seconds;   // of a level, on average
    private double _variance;  // of its rows
    private double _covariance; // of its rows and its time
    private int _declined;      // rounds
    private bool _wasComputed;

    /// <summary>What a level takes however many rows it has, which is most of it where the weights are what takes time to read; 0 before the
    /// first.</summary>
    public double FixedSeconds => _seconds - (_rows * SecondsPerRow);

    /// <summary>What each row of a level takes besides: the slope of the line through what was measured; 0 where all levels had as many
    /// rows.</summary>
    public double SecondsPerRow => _variance < LeastVariance ? 0 : Math.Clamp(_covariance / _variance, 0, _seconds / _rows);

    /// <summary>How likely the best candidate of a level is right, if the one above it is: what a further level may be expected to bring.</summary>
    public double UsualChance { get; private set; } = 1;

    /// <summary>What verifying one node more than some costs.</summary>
    public static double CostOfNode(DraftContext context, int nodes) => context.SecondsOfNodeAfter(nodes) * context.TokensPerSecond;

    /// <summary>What a level of some rows takes.</summary>
    public double SecondsOf(int rows) => FixedSeconds + (rows * SecondsPerRow);

    /// <summary>Whether a drafter that does not expect to pay should compute a level all the same, to find out whether that is still so: every
    /// so many rounds in which it did not, however dear a level seems, lest one bad moment decide for long. Its account pays.</summary>
    public bool IsTimeToTry() => ++_declined % DeclinesPerTiming == 0;

    /// <summary>Learns what a level took, by least squares in which the past fades. The very first one compiles its code and says nothing; one
    /// that took many times longer than usual was disturbed, and counts as a slow one.</summary>
    public void ObserveSeconds(int rows, double seconds)
    {
        if (!_wasComputed)
        {
            _wasComputed = true;
            return;
        }

        seconds = _weight == 0 ? seconds : Math.Min(seconds, SteadyMean.MostOfUsual * SecondsOf(rows));
        _weight = ((1 - Learning) * _weight) + Learning;
        var share = Learning / _weight; // the first measurements count evenly
        var (moreRows, moreSeconds) = (rows - _rows, seconds - _seconds);
        _rows += share * moreRows;
        _seconds += share * moreSeconds;
        _variance = (1 - share) * (_variance + (share * moreRows * moreRows));
        _covariance = (1 - share) * (_covariance + (share * moreRows * moreSeconds));
    }

    /// <summary>Learns how likely the best candidate of a level was right.</summary>
    public void ObserveChance(double chance) => UsualChance += Learning * (chance - UsualChance);
}
