using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine;

/// <summary>Measures T(nodes, context), the time of a forward, on this machine with this model.</summary>
/// <remarks>Numbers of nodes are timed after a short context. What a long context adds comes from attention, which each node does for
/// itself, so it grows with the nodes in a straight line: two points of it are timed, at one node and at many.</remarks>
internal sealed class CostProbe
{
    /// <summary>The longest context that is measured; longer ones lie on the same line.</summary>
    public const int LongestContext = 2048;

    private const int ShortContext = 32;
    private const int Repeats = 3;
    private const double LongForward = 0.2; // seconds; a forward this long is timed once
    private const double Budget = 2;        // seconds; the curve's end is extrapolated rather than waited for longer

    private readonly LlamaModel _model;
    private readonly KvSequence _sequence;
    private readonly TokenTree _tree;
    private readonly Forest _forest = new(1);
    private readonly int _mostNodes;

    private CostProbe(LlamaModel model, KvSequence sequence, int maxNodes)
    {
        (_model, _sequence) = (model, sequence);
        _mostNodes = Math.Min(maxNodes, Math.Min(sequence.Capacity / 2, model.Limits.MaxLogitRows));
        _tree = new TokenTree(Math.Max(ShortContext, maxNodes));
    }

    /// <summary>Times forwards of 1, 2, 4, … nodes; the fastest of a few each, because everything that disturbs a run makes it slower.</summary>
    public static CostCurve Measure(LlamaModel model, KvCache cache, int maxNodes)
    {
        var room = Math.Min(model.Limits.MaxContext, cache.FreePages * (long)RowBatch.PageSize);
        using var sequence = cache.TryOpen((int)Math.Min(LongestContext, room)) ?? throw new InvalidOperationException("the cache has no room to measure in");
        return new CostProbe(model, sequence, maxNodes).Measure();
    }

    private CostCurve Measure()
    {
        var (shortest, longest) = (Math.Min(ShortContext, _sequence.Capacity / 2), _sequence.Capacity - _mostNodes);
        Compute(shortest);
        _sequence.CommitChain(shortest);
        var (nodes, seconds) = (new List<int>(), new List<double>());
        var began = Stopwatch.GetTimestamp();
        for (var n = 1; n <= _mostNodes && Stopwatch.GetElapsedTime(began).TotalSeconds < Budget; n *= 2)
        {
            nodes.Add(n);
            seconds.Add(Fastest(n));
        }

        if (longest < 4 * shortest)
        {
            return new CostCurve([.. nodes], [shortest], [.. seconds]);
        }

        // Rows that nobody computed serve as well: what they hold does not change the time.
        _sequence.CommitChain(longest - shortest);
        var many = Math.Max(seconds.FindLastIndex(s => s < LongForward), 0);
        var (addedToOne, addedToMany) = (Fastest(1) - seconds[0], Fastest(nodes[many]) - seconds[many]);
        var slope = many == 0 ? addedToOne : (addedToMany - addedToOne) / (nodes[many] - 1);
        var longer = seconds.Select((s, i) => s + Math.Max(addedToOne + (slope * (nodes[i] - 1)), 0));
        return new CostCurve([.. nodes], [shortest, longest], [.. seconds, .. longer]);
    }

    private double Fastest(int nodes)
    {
        var fastest = Compute(nodes);
        for (var repeat = 1; repeat < Repeats && fastest < LongForward; repeat++)
        {
            fastest = Math.Min(fastest, Compute(nodes));
        }

        return fastest;
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
        _model.Forward(_forest);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
