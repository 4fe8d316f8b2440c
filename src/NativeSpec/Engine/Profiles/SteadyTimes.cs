using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Profiles;

/// <summary>Times work of several sizes on a machine where others work too: again and again, until the figures agree with each other.</summary>
/// <remarks>
/// <para>Everything that disturbs a run makes it slower, so a size's time is its fastest run. It is believed when two things hold:</para>
/// <list type="bullet">
/// <item>It can be repeated: the fastest of the even runs and the fastest of the odd ones agree. A pass times each size once, so the runs of a size
/// are spread over the whole measurement, and no single bad moment has them all.</item>
/// <item>It has the shape of bytes and operations: a forward reads the same weights however many nodes it has, and computes each node. So more nodes
/// are never faster, twice as many take at most twice the time, and a size does not lie far above the line through its neighbours.</item>
/// </list>
/// <para>Only what is not believed is timed again. What still is not when the time is up counts as disturbed, and where it lies above the line
/// through its neighbours it is put there. A size that has the same time after many runs has that time, whatever its shape.</para>
/// </remarks>
/// <param name="sizes">Numbers of nodes, ascending, each about twice the one before.</param>
/// <param name="time">Computes so many nodes and returns the seconds.</param>
/// <param name="budget">Seconds that the runs may take, all together. Sizes that are not reached once in two thirds of it are left out.</param>
internal sealed class SteadyTimes(IReadOnlyList<int> sizes, Func<int, double> time, double budget)
{
    private const int MostPasses = 64;
    private const int ProvingRuns = 16;      // after as many the shape need not hold
    private const int LeastRuns = 4;
    private const double LongRuns = 0.1;     // seconds; runs this long together are spread over many time slices, and two of them do
    private const double LongRun = 0.2;      // seconds; a single run this long does
    private const double Agreement = 1.06;   // of the two halves
    private const double ShapeTolerance = 1.25;

    private readonly List<Runs> _runs = [];
    private double _spent;

    /// <summary>Sizes that were timed: the others would have taken too long.</summary>
    public int Count => _runs.Count;

    /// <summary>Seconds that all runs took.</summary>
    public double Spent => _spent;

    /// <summary>The time of each size.</summary>
    public double[] Seconds { get; private set; } = [];

    /// <summary>[size] whether it is believed.</summary>
    public bool[] IsSteady { get; private set; } = [];

    /// <summary>[size] how far each may be off, as <see cref="CostCurve"/> takes it.</summary>
    public IEnumerable<double> Spread => IsSteady.Select(steady => steady ? CostCurve.Steady : CostCurve.Disturbed);

    /// <summary>Measures.</summary>
    public SteadyTimes Measure()
    {
        for (var i = 0; i < sizes.Count && (i == 0 || _spent < budget * 2 / 3); i++)
        {
            _runs.Add(default);
            Run(i, pass: 0);
        }

        for (var pass = 1; pass < MostPasses && _spent < budget; pass++)
        {
            var began = _spent;
            for (var i = 0; i < _runs.Count && _spent < budget; i++)
            {
                if (!Believes(i))
                {
                    Run(i, pass);
                }
            }

            if (began == _spent)
            {
                break;
            }
        }

        IsSteady = [.. Enumerable.Range(0, Count).Select(Believes)];
        Seconds = [.. Enumerable.Range(0, Count).Select(i => IsSteady[i] ? _runs[i].Fastest : Math.Min(_runs[i].Fastest, Line(i)))];
        return this;
    }

    private void Run(int size, int pass)
    {
        var seconds = time(sizes[size]);
        _spent += seconds;
        _runs[size] = _runs[size].With(seconds, isEven: pass % 2 == 0);
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

    /// <summary>The runs of a size; 0 is none.</summary>
    private readonly record struct Runs(int Count, double Total, double Even, double Odd)
    {
        public double Fastest => Odd == 0 ? Even : Even == 0 ? Odd : Math.Min(Even, Odd);

        /// <summary>Whether there are enough, and the two halves, where there are two, have the same fastest run.</summary>
        public bool Agree => Count == 1
            ? Total >= LongRun
            : (Count >= LeastRuns || Total >= LongRuns) && Math.Max(Even, Odd) <= Agreement * Fastest;

        public Runs With(double seconds, bool isEven) => isEven
            ? this with { Count = Count + 1, Total = Total + seconds, Even = Faster(Even, seconds) }
            : this with { Count = Count + 1, Total = Total + seconds, Odd = Faster(Odd, seconds) };

        private static double Faster(double known, double seconds) => known == 0 ? seconds : Math.Min(known, seconds);
    }
}
