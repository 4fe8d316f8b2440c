using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Profiles;

/// <summary>Times work of several sizes on a machine where others work too: again and again, until the figures agree with each other.</summary>
/// <remarks>
/// <para>Everything that disturbs a run makes it slower, so a size's time is its fastest run. It is believed when two things hold:</para>
/// <list type="bullet">
/// <item>It has been repeated: the three fastest runs agree. A pass times each size once, so the runs of a size are spread over the whole
/// measurement, and no single bad moment has them all.</item>
/// <item>It has the shape of bytes and operations: a forward reads the same weights however many nodes it has, and computes each node. So more nodes
/// are never faster, twice as many take at most twice the time, and a size does not lie far above the line through its neighbours.</item>
/// </list>
/// <para>Only what is not believed is timed again. A size that has the same time after many runs has that time, whatever its shape. What is still not
/// believed when the time is up counts as disturbed: the truth lies between what half as many nodes take and what was measured, or twice that, so
/// the geometric mean of the two is taken. A size that seems too cheap is tried in a round and found out; one that seems too dear never would be.</para>
/// </remarks>
/// <param name="sizes">Numbers of nodes, ascending, each about twice the one before.</param>
/// <param name="time">Computes so many nodes and returns the seconds.</param>
/// <param name="budget">Seconds that the runs may take, all together. Sizes that are not reached once in two thirds of it are left out.</param>
internal sealed class SteadyTimes(IReadOnlyList<int> sizes, Func<int, double> time, double budget)
{
    private const int MostPasses = 40;
    private const int ProvingRuns = 16;         // after as many the shape need not hold
    private const int LeastRuns = 4;            // three in a row may have shared a bad moment
    private const double LeastRepeating = 0.3;  // seconds; as long a machine is waited for to be quiet, or as long as each size takes some times
    private const double LongRun = 0.2;         // seconds; a run this long is an average over many time slices
    private const double Agreement = 1.06;      // of the fastest runs
    private const double ShapeTolerance = 1.25;
    private const double Once = 2 * CostCurve.Steady; // how far a long run that was not repeated may be off

    private readonly List<Runs> _runs = [];
    private double _spent;

    /// <summary>Sizes that were timed: the others would have taken too long.</summary>
    public int Count => _runs.Count;

    /// <summary>The time of each size.</summary>
    public double[] Seconds { get; private set; } = [];

    /// <summary>[size] whether it is believed.</summary>
    public bool[] IsSteady { get; private set; } = [];

    /// <summary>[size] how far each may be off, as <see cref="CostCurve"/> takes it.</summary>
    public IEnumerable<double> Spread => _runs.Select((runs, i) => IsSteady[i] ? CostCurve.Steady : runs.Fastest >= LongRun ? Once : CostCurve.Disturbed);

    /// <summary>Measures.</summary>
    public SteadyTimes Measure()
    {
        for (var i = 0; i < sizes.Count && (i == 0 || _spent < budget * 2 / 3); i++)
        {
            _runs.Add(Runs.None);
            Run(i);
        }

        var most = Math.Min(budget, _spent + Math.Max(LeastRepeating, (MostPasses / 4) * _spent));
        for (var pass = 1; pass < MostPasses && _spent < most; pass++)
        {
            var began = _spent;
            for (var i = 0; i < _runs.Count && _spent < most; i++)
            {
                if (!Believes(i) && _runs[i].Fastest < LongRun)
                {
                    Run(i);
                }
            }

            if (began == _spent)
            {
                break;
            }
        }

        IsSteady = [.. Enumerable.Range(0, Count).Select(Believes)];
        Seconds = new double[Count];
        for (var i = 0; i < Count; i++)
        {
            var proportional = i == 0 ? 0 : Seconds[i - 1] * sizes[i] / sizes[i - 1];
            Seconds[i] = IsSteady[i] || i == 0 ? _runs[i].Fastest : Math.Sqrt(Seconds[i - 1] * Math.Min(_runs[i].Fastest, proportional));
        }

        return this;
    }

    private void Run(int size)
    {
        var seconds = time(sizes[size]);
        _spent += seconds;
        _runs[size] = _runs[size].With(seconds);
    }

    private bool Believes(int size)
    {
        var runs = _runs[size];
        return runs.Agree && (HasShape(size) || runs.Count >= ProvingRuns);
    }

    private bool HasShape(int size)
    {
        var fastest = _runs[size].Fastest;
        return (size + 1 == Count || fastest <= Agreement * _runs[size + 1].Fastest) && fastest <= ShapeTolerance * Line(size);
    }

    /// <summary>What its neighbours say of a size: the line through them; twice what half as many take for the last one, nothing for the
    /// first.</summary>
    private double Line(int size)
    {
        if (size == 0)
        {
            return double.PositiveInfinity;
        }

        var (before, half) = (_runs[size - 1].Fastest, (double)sizes[size - 1]);
        if (size + 1 == Count)
        {
            return before * (sizes[size] / half);
        }

        return before + ((_runs[size + 1].Fastest - before) * (sizes[size] - half) / (sizes[size + 1] - half));
    }

    /// <summary>The runs of a size.</summary>
    /// <param name="Count">How many.</param>
    /// <param name="Fastest">Seconds.</param>
    /// <param name="Second">The next fastest one's.</param>
    /// <param name="Third">And the next.</param>
    private readonly record struct Runs(int Count, double Fastest, double Second, double Third)
    {
        public static Runs None => new(0, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity);

        public bool Agree => Count >= LeastRuns && Third <= Agreement * Fastest;

        public Runs With(double seconds)
            => seconds < Fastest ? new(Count + 1, seconds, Fastest, Second)
            : seconds < Second ? new(Count + 1, Fastest, seconds, Second)
            : new(Count + 1, Fastest, Second, Math.Min(Third, seconds));
    }
}
