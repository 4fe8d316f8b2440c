namespace NativeSpec.Speculation.Planning;

/// <summary>What a level of candidates takes to compute, and how likely its best one is right, of late: by these a drafter that computes
/// decides how deep to go, and whether to begin at all.</summary>
/// <remarks>A level is a forward of a draft model or a Medusa head. All is reckoned in tokens that could be written meanwhile, which are 0
/// where the request does not follow cost.</remarks>
internal sealed class LevelWorth
{
    private const double Learning = 0.1;

    private double _saved; // tokens

    /// <summary>What a level takes; 0 before the first.</summary>
    public double Seconds { get; private set; }

    /// <summary>How likely the best candidate of a level is right, if the one above it is: what a further level may be expected to bring.</summary>
    public double UsualChance { get; private set; } = 1;

    /// <summary>What verifying one node more than some costs.</summary>
    public static double CostOfNode(DraftContext context, int nodes) => context.SecondsOfNodeAfter(nodes) * context.TokensPerSecond;

    /// <summary>What a level costs.</summary>
    public double CostOfLevel(DraftContext context) => Seconds * context.TokensPerSecond;

    /// <summary>Whether a drafter that does not expect to pay should compute a level all the same, to find out whether that is still so: when the
    /// rounds in which it did not have saved what a level costs, at the rate of <see cref="DrafterAccount.Allowance"/>. Its account pays.</summary>
    /// <param name="cost">What a level costs, in tokens.</param>
    public bool IsTimeToTry(double cost)
    {
        _saved += DrafterAccount.Allowance;
        if (_saved >= cost)
        {
            _saved = 0;
            return true;
        }

        return false;
    }

    /// <summary>Learns what levels took, each. One that took many times longer than usual was disturbed, and counts as a slow one.</summary>
    public void ObserveSeconds(double each) => Seconds += Seconds == 0 ? each : Learning * (Math.Min(each, SteadyMean.MostOfUsual * Seconds) - Seconds);

    /// <summary>Learns how likely the best candidate of a level was right.</summary>
    public void ObserveChance(double chance) => UsualChance += Learning * (chance - UsualChance);
}
