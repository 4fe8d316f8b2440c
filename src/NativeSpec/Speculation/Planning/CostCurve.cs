namespace NativeSpec.Speculation.Planning;

/// <summary>T(nodes, context): how long a forward of some nodes after so many tokens takes on this machine with this model. Measured at load at a
/// few points, refined by every round, straight lines between.</summary>
internal sealed class CostCurve
{
    /// <summary>The weight of a new measurement.</summary>
    private const double Learning = 0.1;

    private readonly int[] _nodes;
    private readonly int[] _contexts;
    private readonly double[] _seconds; // [contexts, nodes]

    /// <summary>Makes the curve through measured points.</summary>
    /// <param name="nodes">Numbers of nodes, ascending, the first 1.</param>
    /// <param name="contexts">Lengths of context, ascending.</param>
    /// <param name="seconds">[contexts, nodes] the time of each.</param>
    public CostCurve(ReadOnlySpan<int> nodes, ReadOnlySpan<int> contexts, ReadOnlySpan<double> seconds)
    {
        if (nodes.Length == 0 || contexts.Length == 0 || nodes.Length * contexts.Length != seconds.Length || nodes[0] != 1)
        {
            throw new ArgumentException("a cost curve needs a time for one node, and one for each number of nodes at each context", nameof(nodes));
        }

        (_nodes, _contexts, _seconds) = (nodes.ToArray(), contexts.ToArray(), seconds.ToArray());
        Smooth();
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

    /// <summary>Seconds of a forward of <paramref name="nodes"/> nodes that see <paramref name="context"/> tokens.</summary>
    public double At(int nodes, int context)
    {
        if (_contexts.Length == 1 || context <= _contexts[0])
        {
            return AtMeasured(0, nodes);
        }

        var next = SegmentEnd(_contexts, context);
        var (before, after) = (AtMeasured(next - 1, nodes), AtMeasured(next, nodes));
        return before + ((after - before) / (_contexts[next] - _contexts[next - 1]) * (context - _contexts[next - 1]));
    }

    /// <summary>Learns from a forward. A forward that took several times longer than ever was disturbed, and teaches nothing.</summary>
    public void Observe(int nodes, int context, double seconds)
    {
        var expected = At(nodes, context);
        if (seconds > SteadyMean.MostOfUsual * expected || seconds <= 0)
        {
            return;
        }

        // The points beside it move in proportion: a slower machine moves the whole curve.
        var ratio = seconds / expected;
        for (var i = 0; i < _seconds.Length; i++)
        {
            var distance = Octaves(_nodes[i % _nodes.Length], nodes);
            distance += _contexts.Length == 1 ? 0 : Octaves(_contexts[i / _nodes.Length], context);
            _seconds[i] *= 1 + (Learning * (ratio - 1) / (1 + distance));
        }

        Smooth();
    }

    private static double Octaves(int a, int b) => Math.Abs(Math.Log2(Math.Max(a, 1) / (double)Math.Max(b, 1)));

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

    private double AtMeasured(int context, int nodes)
    {
        var seconds = _seconds.AsSpan(context * _nodes.Length, _nodes.Length);
        if (nodes <= 1 || seconds.Length == 1)
        {
            return seconds[0] * Math.Max(nodes, 1);
        }

        var i = SegmentEnd(_nodes, nodes);
        var slope = (seconds[i] - seconds[i - 1]) / (_nodes[i] - _nodes[i - 1]);
        return seconds[i - 1] + (slope * (nodes - _nodes[i - 1]));
    }

    /// <summary>More nodes never cost less, nor does a longer context; a curve that says so is noise.</summary>
    private void Smooth()
    {
        for (var i = 0; i < _seconds.Length; i++)
        {
            var fewer = i % _nodes.Length == 0 ? 0 : _seconds[i - 1];
            var shorter = i < _nodes.Length ? 0 : _seconds[i - _nodes.Length];
            _seconds[i] = Math.Max(_seconds[i], Math.Max(fewer, shorter));
        }
    }
}
