namespace NativeSpec.Speculation;

/// <summary>T(n): how long a forward of n nodes takes on this machine with this model. Measured at load for a few n, refined by every
/// round, straight lines between.</summary>
internal sealed class CostCurve
{
    /// <summary>The weight of a new measurement.</summary>
    private const double Learning = 0.1;

    private readonly int[] _nodes;
    private readonly double[] _seconds;

    /// <summary>Makes the curve through measured points.</summary>
    /// <param name="nodes">Numbers of nodes, ascending, the first 1.</param>
    /// <param name="seconds">Time of each.</param>
    public CostCurve(ReadOnlySpan<int> nodes, ReadOnlySpan<double> seconds)
    {
        if (nodes.Length == 0 || nodes.Length != seconds.Length || nodes[0] != 1)
        {
            throw new ArgumentException("a cost curve needs a time for one node and as many times as node counts", nameof(nodes));
        }

        _nodes = nodes.ToArray();
        _seconds = seconds.ToArray();
        Smooth();
    }

    /// <summary>The measured numbers of nodes.</summary>
    public ReadOnlySpan<int> Nodes => _nodes;

    /// <summary>Seconds at each of <see cref="Nodes"/>.</summary>
    public ReadOnlySpan<double> Seconds => _seconds;

    /// <summary>Seconds of a forward of <paramref name="nodes"/> nodes.</summary>
    public double At(int nodes)
    {
        if (nodes <= 1 || _nodes.Length == 1)
        {
            return _seconds[0] * Math.Max(nodes, 1);
        }

        var i = 1;
        while (i < _nodes.Length - 1 && _nodes[i] < nodes)
        {
            i++;
        }

        var slope = (_seconds[i] - _seconds[i - 1]) / (_nodes[i] - _nodes[i - 1]);
        return _seconds[i - 1] + (slope * (nodes - _nodes[i - 1]));
    }

    /// <summary>Learns from a forward. A forward that took several times longer than ever was disturbed, and teaches nothing.</summary>
    public void Observe(int nodes, double seconds)
    {
        var expected = At(nodes);
        if (seconds > 4 * expected || seconds <= 0)
        {
            return;
        }

        // The points beside it move in proportion: a longer context or a slower machine moves the whole curve.
        var ratio = seconds / expected;
        for (var i = 0; i < _nodes.Length; i++)
        {
            var distance = Math.Abs(Math.Log2((double)_nodes[i] / nodes));
            _seconds[i] *= 1 + (Learning * (ratio - 1) / (1 + distance));
        }

        Smooth();
    }

    /// <summary>More nodes never cost less; a curve that says so is noise.</summary>
    private void Smooth()
    {
        for (var i = 1; i < _seconds.Length; i++)
        {
            _seconds[i] = Math.Max(_seconds[i], _seconds[i - 1]);
        }
    }
}
