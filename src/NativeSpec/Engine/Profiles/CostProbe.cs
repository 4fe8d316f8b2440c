using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Profiles;

/// <summary>A cost curve as it was measured.</summary>
/// <param name="Curve">The curve.</param>
/// <param name="Seconds">What measuring took.</param>
internal readonly record struct MeasuredCost(CostCurve Curve, double Seconds)
{
    /// <summary>Points whose times could not be repeated: something else ran on the machine.</summary>
    public int Disturbed
    {
        get
        {
            var disturbed = 0;
            for (var i = 0; i < Curve.Seconds.Length; i++)
            {
                disturbed += Curve.SpreadOf(i) > CostCurve.Steady ? 1 : 0;
            }

            return disturbed;
        }
    }
}

/// <summary>Measures T(nodes, context), the time of a forward, on this machine with this model.</summary>
/// <remarks>Numbers of nodes are timed after a short context. What a long context adds comes from attention, which each node does for
/// itself, so it grows with the nodes in a straight line: two points of it are timed, at one node and at many.</remarks>
internal sealed class CostProbe
{
    /// <summary>The longest context that is measured; longer ones lie on the same line.</summary>
    public const int LongestContext = 2048;

    private const int ShortContext = 32;
    private const double LongForward = 0.2; // seconds; the long context is timed with forwards shorter than this, where there are any
    private const double Budget = 3.5;      // seconds; the curve's end is extrapolated rather than waited for longer

    private readonly LlamaModel _model;
    private readonly KvSequence _sequence;
    private readonly TokenTree _tree;
    private readonly Forest _forest = new(1);
    private readonly int _mostNodes;
    private readonly CancellationToken _cancellationToken;

    private CostProbe(LlamaModel model, KvSequence sequence, int maxNodes, CancellationToken cancellationToken)
    {
        (_model, _sequence, _cancellationToken) = (model, sequence, cancellationToken);
        _mostNodes = Math.Min(Math.Min(maxNodes, sequence.Capacity / 2), Math.Min(model.Limits.MaxLogitRows, model.Limits.MaxRows));
        _tree = new TokenTree(Math.Max(ShortContext, maxNodes));
    }

    /// <summary>Times forwards of 1, 2, 4, … nodes until the times agree with each other, as <see cref="SteadyTimes"/> says.</summary>
    /// <exception cref="OperationCanceledException">The caller does not want it any more.</exception>
    public static MeasuredCost Measure(LlamaModel model, KvCache cache, int maxNodes, CancellationToken cancellationToken = default)
    {
        var began = Stopwatch.GetTimestamp();
        var room = Math.Min(model.Limits.MaxContext, cache.FreePages * (long)RowBatch.PageSize);
        using var sequence = cache.TryOpen((int)Math.Min(LongestContext, room)) ?? throw new InvalidOperationException("the cache has no room to measure in");
        var curve = new CostProbe(model, sequence, maxNodes, cancellationToken).Measure();
        return new MeasuredCost(curve, Stopwatch.GetElapsedTime(began).TotalSeconds);
    }

    private CostCurve Measure()
    {
        var (shortest, longest) = (Math.Min(ShortContext, Math.Min(_sequence.Capacity / 2, _model.Limits.MaxRows)), _sequence.Capacity - _mostNodes);
        Compute(shortest);
        _sequence.CommitChain(shortest);
        List<int> sizes = [];
        for (var n = 1; n <= _mostNodes; n *= 2)
        {
            sizes.Add(n);
        }

        var near = new SteadyTimes(sizes, Compute, Budget).Measure();
        int[] nodes = [.. sizes.Take(near.Count)];
        if (longest < 4 * shortest)
        {
            return new CostCurve(nodes, [shortest], near.Seconds, [.. near.Spread]);
        }

        // Rows that nobody computed serve as well: what they hold does not change the time.
        _sequence.CommitChain(longest - shortest);
        var many = Math.Max(Array.FindLastIndex(near.Seconds, s => s < LongForward), 0);
        var far = new SteadyTimes(many == 0 ? [1] : [1, nodes[many]], Compute, Budget / 2).Measure();
        var addedToOne = far.Seconds[0] - near.Seconds[0];
        var slope = far.Count == 1 ? addedToOne : (far.Seconds[1] - near.Seconds[many] - addedToOne) / (nodes[many] - 1);
        var longer = near.Seconds.Select((s, i) => s + Math.Max(addedToOne + (slope * (nodes[i] - 1)), 0));
        var spread = far.IsSteady.All(steady => steady) ? near.Spread : near.Spread.Select(_ => CostCurve.Disturbed);
        return new CostCurve(nodes, [shortest, longest], [.. near.Seconds, .. longer], [.. near.Spread, .. spread]);
    }

    private double Compute(int nodes)
    {
        _tree.Clear();
        for (var node = 0; node < nodes; node++)
        {
            _tree.Add(node == 0 ? -1 : 0, node % _model.Config.VocabSize);
        }

        _forest.Clear();
        _forest.Add(_sequence, _tree, _sequence.Length == 0 ? nodes : 0);
        var start = Stopwatch.GetTimestamp();
        _model.Forward(_forest, _cancellationToken);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
