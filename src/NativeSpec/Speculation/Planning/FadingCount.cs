namespace NativeSpec.Speculation.Planning;

/// <summary>How often something was right, recent cases counting most.</summary>
internal struct FadingCount
{
    private const double Fade = 0.98;
    private const double RememberedWeight = 16;

    private double _right;
    private double _all;

    /// <summary>Begins with what is remembered. It counts as a few cases, so that it gives way to new ones soon.</summary>
    public FadingCount(double right, double all)
    {
        var scale = all > RememberedWeight ? RememberedWeight / all : 1;
        (_right, _all) = (right * scale, all * scale);
    }

    /// <summary>The faded numbers of cases: right ones, all.</summary>
    public readonly (double Right, double All) Values => (_right, _all);

    /// <summary>The share that was right, with a prior that counts as so many cases.</summary>
    public readonly double Mean(double prior, double weight) => (_right + (prior * weight)) / (_all + weight);

    /// <summary>Counts a case.</summary>
    public void Add(bool right)
    {
        _right = (_right * Fade) + (right ? 1 : 0);
        _all = (_all * Fade) + 1;
    }
}
