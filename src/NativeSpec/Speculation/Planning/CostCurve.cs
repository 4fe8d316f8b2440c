namespace NativeSpec.Speculation.Planning;

/// <summary>T(nodes, context): how long a forward of some nodes after so many tokens takes on this machine with this model. Measured at load at a
/// few points, refined by every round, straight lines between.</summary>
/// <remarks>
/// <para>What is known is a Kalman filter's state (Kalman, 1960): the logarithm of the time at each point, and how the errors of two points go
/// together. Most of an error is shared by all points, because a neighbour that takes half of the machine makes all forwards slower alike; some of it
/// by points that lie close; the rest, large where the measurement was disturbed, is a point's own. So a round of one node also corrects what
/// eight are thought to take, and a point that was measured badly learns fast while one that was measured well keeps its place in the curve.</para>
/// <para>Whatever disturbs a forward makes it slower. So a time further above the curve than is usual counts as a slow one, not as what it was (winsorizing).</para>
/// <para>More nodes never cost less, nor does a longer context, and n nodes never cost more than n/m of what m &lt; n do. Of points that contradict each other by this the better known one is believed, of
/// equally known ones the faster, and the other one moves (as isotonic regression does, the best known first). It moves in the filter, not only in what is told of it: a mean that nobody believes would be
/// pushed further away by every round that is compared with what is believed.</para>
/// </remarks>
internal sealed class CostCurve
{
    /// <summary>How far a point may be off by itself where its measurement could be repeated, as a part of it: a standard deviation.</summary>
    public const double Steady = 0.05;

    /// <summary>The same for one that could not: it was disturbed.</summary>
    public const double Disturbed = 0.3;

    // Standard deviations of logarithms, so parts of a time.
    private const double Level = 0.3;           // of all points together: the machine may be busier than it was, or less
    private const double DisturbedLevel = 3;    // times the points' own error: what disturbed them disturbed the most part of all alike
    private const double Shape = 0.1;           // of what points that lie close have in common
    private const double LevelDrift = 0.02;     // in a round
    private const double ShapeDrift = 0.01;     // in a round
    private const double RoundNoise = 0.2;      // of one round's time
    private const double MostFaster = 3.5;      // standard deviations of what a round is expected to take
    private const double MostSlower = 1.1;      // likewise

    private readonly int[] _nodes;
    private readonly int[] _contexts;
    private readonly double[] _seconds;    // [contexts, nodes] what is believed
    private readonly double[] _logs;       // [contexts, nodes] the filter's mean
    private readonly double[] _covariance; // [points, points] of the errors of the logarithms
    private readonly double[] _drift;      // [points, points] what a round adds to it
    private readonly double[] _spread;     // [points] each one's own error at first
    private readonly double[] _pull;       // [points] of a round
    private readonly double[] _hopeful;    // [contexts, nodes] what may well be
    private readonly double[] _logNodes;   // [nodes]
    private readonly int[] _order;         // [points] the best known first

    /// <summary>Makes the curve through measured points.</summary>
    /// <param name="nodes">Numbers of nodes, ascending, the first 1.</param>
    /// <param name="contexts">Lengths of context, ascending.</param>
    /// <param name="seconds">[contexts, nodes] the time of each.</param>
    /// <param name="spread">[contexts, nodes] how far each may be off by itself, as a part of it; none where all are <see cref="Steady"/>.</param>
    public CostCurve(ReadOnlySpan<int> nodes, ReadOnlySpan<int> contexts, ReadOnlySpan<double> seconds, ReadOnlySpan<double> spread = default)
    {
        if (nodes.Length == 0 || contexts.Length == 0 || nodes.Length * contexts.Length != seconds.Length || nodes[0] != 1)
        {
            throw new ArgumentException("a cost curve needs a time for one node, and one for each number of nodes at each context", nameof(nodes));
        }

        if (!spread.IsEmpty && spread.Length != seconds.Length)
        {
            throw new ArgumentException($"a cost curve of {seconds.Length} points has {spread.Length} deviations; expected as many", nameof(spread));
        }

        (_nodes, _contexts, _seconds) = (nodes.ToArray(), contexts.ToArray(), seconds.ToArray());
        var points = seconds.Length;
        (_logs, _pull, _spread, _hopeful) = (new double[points], new double[points], new double[points], new double[points]);
        (_logNodes, _order) = (new double[nodes.Length], new int[points]);
        for (var i = 0; i < nodes.Length; i++)
        {
            _logNodes[i] = Math.Log(nodes[i]);
        }

        (_covariance, _drift) = (new double[points * points], new double[points * points]);
        var own = 0.0;
        for (var i = 0; i < points; i++)
        {
            (_order[i], _logs[i], _spread[i]) = (i, Math.Log(_seconds[i]), spread.IsEmpty ? Steady : spread[i]);
            own += _spread[i] / points;
        }

        var level = Math.Max(Level, DisturbedLevel * own);
        for (var i = 0; i < points; i++)
        {
            for (var j = 0; j < points; j++)
            {
                var closeness = Math.Pow(2, -Octaves(i, j));
                _covariance[(i * points) + j] = (level * level) + (Shape * Shape * closeness) + (i == j ? _spread[i] * _spread[i] : 0);
                _drift[(i * points) + j] = (LevelDrift * LevelDrift) + (ShapeDrift * ShapeDrift * closeness);
            }
        }

        Agree();
    }

    /// <summary>Makes a curve that is the same at every context.</summary>
    /// <param name="nodes">Numbers of nodes, ascending, the first 1.</param>
    /// <param name="seconds">Time of each.</param>
    public CostCurve(ReadOnlySpan<int> nodes, ReadOnlySpan<double> seconds)
        : this(nodes, [0], seconds)
    {
    }

    /// <summary>The measured numbers of nodes.</summary>
    public ReadOnlySpan<int> Nodes => _nodes;

    /// <summary>The measured lengths of context.</summary>
    public ReadOnlySpan<int> Contexts => _contexts;

    /// <summary>[contexts, nodes] seconds at the measured points.</summary>
    public ReadOnlySpan<double> Seconds => _seconds;

    /// <summary>Rounds that it has learnt from.</summary>
    public long Rounds { get; private set; }

    /// <summary>How far a point may be off by itself by now, as a part of it.</summary>
    public double SpreadOf(int point) => Math.Min(_spread[point], Math.Sqrt(Variance(point)));

    /// <summary>Seconds of a forward of <paramref name="nodes"/> nodes that see <paramref name="context"/> tokens.</summary>
    public double At(int nodes, int context) => At(_seconds, nodes, context);

    private double At(double[] points, int nodes, int context)
    {
        if (_contexts.Length == 1 || context <= _contexts[0])
        {
            return AtMeasured(points, 0, nodes);
        }

        var next = SegmentEnd(_contexts, context);
        var before = AtMeasured(points, next - 1, nodes);
        var after = Math.Max(AtMeasured(points, next, nodes), before); // past the last number of nodes the lines of two contexts may cross
        return before + ((after - before) / (_contexts[next] - _contexts[next - 1]) * (context - _contexts[next - 1]));
    }

    /// <summary>The same as it may well be: each point, compared with one node, a standard deviation of its error below what is believed. Whoever chooses by this tries now and then what
    /// seems too dear and was not computed for long, and finds out; a point that is never computed would stay wrong for ever (optimism in the face of
    /// uncertainty; Lai and Robbins, 1985).</summary>
    public double HopefullyAt(int nodes, int context) => At(_hopeful, nodes, context);

    /// <summary>Learns from a forward.</summary>
    public void Observe(int nodes, int context, double seconds)
    {
        if (!(seconds > 0))
        {
            return;
        }

        Span<(int Point, double Weight)> seen = stackalloc (int, double)[4];
        seen = seen[..PointsOf(nodes, context, seen)];
        var (points, total) = (_logs.Length, RoundNoise * RoundNoise);
        for (var i = 0; i < points; i++)
        {
            _pull[i] = 0;
            foreach (var (point, weight) in seen)
            {
                _pull[i] += weight * _covariance[(i * points) + point];
            }
        }

        foreach (var (point, weight) in seen)
        {
            total += weight * _pull[point];
        }

        var usual = Math.Sqrt(total);
        var error = Math.Clamp(Math.Log(seconds / At(nodes, context)), -MostFaster * usual, MostSlower * usual);
        if (!double.IsFinite(error))
        {
            return; // what is not finite would make the whole curve so, for good
        }

        Rounds++;
        for (var i = 0; i < points; i++)
        {
            var gain = _pull[i] / total;
            _logs[i] += gain * error;
            _seconds[i] = Math.Exp(_logs[i]);
            for (var j = 0; j < points; j++)
            {
                _covariance[(i * points) + j] += _drift[(i * points) + j] - (gain * _pull[j]);
            }
        }

        Agree();
    }

    /// <summary>The end of the line that a value lies on; values past the last point lie on the last line.</summary>
    private static int SegmentEnd(int[] points, int value)
    {
        var i = 1;
        while (i < points.Length - 1 && points[i] < value)
        {
            i++;
        }

        return i;
    }

    /// <summary>How many times twice the nodes and twice the context lie between two points.</summary>
    private double Octaves(int a, int b) =>
        Octaves(_nodes[a % _nodes.Length], (double)_nodes[b % _nodes.Length]) + Octaves(_contexts[a / _nodes.Length], (double)_contexts[b / _nodes.Length]);

    private static double Octaves(int a, double b) => Math.Abs(Math.Log2(Math.Max(a, 1) / Math.Max(b, 1)));

    private double AtMeasured(double[] points, int context, int nodes)
    {
        var seconds = points.AsSpan(context * _nodes.Length, _nodes.Length);
        if (nodes <= 1 || seconds.Length == 1)
        {
            return seconds[0] * Math.Max(nodes, 1);
        }

        var i = SegmentEnd(_nodes, nodes);
        var slope = (seconds[i] - seconds[i - 1]) / (_nodes[i] - _nodes[i - 1]);
        return seconds[i - 1] + (slope * (nodes - _nodes[i - 1]));
    }

    /// <summary>The points around a place, with what each has to say about it: four at most. A place past the last point is the last point's.</summary>
    private int PointsOf(int nodes, int context, Span<(int Point, double Weight)> seen)
    {
        var (column, right) = Between(_nodes, nodes);
        var (row, below) = Between(_contexts, context);
        var count = 0;
        for (var i = 0; i < 4; i++)
        {
            var (down, over) = (i / 2, i % 2);
            var weight = (down == 0 ? 1 - below : below) * (over == 0 ? 1 - right : right);
            if (weight > 0)
            {
                seen[count++] = (((row + down) * _nodes.Length) + column + over, weight);
            }
        }

        return count;
    }

    private static (int First, double Beyond) Between(int[] points, int value)
    {
        if (points.Length == 1)
        {
            return (0, 0);
        }

        var end = SegmentEnd(points, value);
        return (end - 1, Math.Clamp((value - points[end - 1]) / (double)(points[end] - points[end - 1]), 0, 1));
    }

    /// <summary>Moves points that contradict better known ones to where they no longer do, and says how fast each may well be.</summary>
    private void Agree()
    {
        SortByKnowledge();
        for (var k = 0; k < _order.Length; k++)
        {
            var (point, low, high) = (_order[k], double.NegativeInfinity, double.PositiveInfinity);
            foreach (var known in _order.AsSpan(0, k))
            {
                // A lower bound from what costs less, an upper bound from what costs more; and n nodes cost at least n/m of what m > n do.
                var (more, longer) = ((point % _nodes.Length) - (known % _nodes.Length), (point / _nodes.Length) - (known / _nodes.Length));
                var proportion = longer == 0 ? _logNodes[point % _nodes.Length] - _logNodes[known % _nodes.Length] : 0;
                low = Math.Max(low, more >= 0 && longer >= 0 ? _logs[known] : longer == 0 ? _logs[known] + proportion : low);
                high = Math.Min(high, more <= 0 && longer <= 0 ? _logs[known] : longer == 0 ? _logs[known] + proportion : high);
            }

            var agreed = Math.Max(low, Math.Min(high, _logs[point]));
            if (agreed != _logs[point])
            {
                (_logs[point], _seconds[point]) = (agreed, Math.Exp(agreed));
            }
        }

        for (var i = 0; i < _hopeful.Length; i++)
        {
            var fewer = i % _nodes.Length == 0 ? 0 : _hopeful[i - 1];
            var shorter = i < _nodes.Length ? 0 : _hopeful[i - _nodes.Length];
            var variance = Variance(i) + Variance(0) - (2 * _covariance[i]); // of the quotient with one node
            _hopeful[i] = Math.Max(_seconds[i] * Math.Exp(-Math.Sqrt(Math.Max(variance, 0))), Math.Max(fewer, shorter)); // those before it are known better
        }
    }

    /// <summary>Puts the best known points first, of equally known ones the faster; by insertion, because from round to round little changes.</summary>
    private void SortByKnowledge()
    {
        for (var i = 1; i < _order.Length; i++)
        {
            var (point, place) = (_order[i], i);
            for (; place > 0 && Compare(point, _order[place - 1]) < 0; place--)
            {
                _order[place] = _order[place - 1];
            }

            _order[place] = point;
        }

        int Compare(int a, int b)
        {
            var byVariance = Variance(a).CompareTo(Variance(b));
            return byVariance != 0 ? byVariance : _logs[a].CompareTo(_logs[b]);
        }
    }

    private double Variance(int point) => _covariance[point * (_logs.Length + 1)];
}
