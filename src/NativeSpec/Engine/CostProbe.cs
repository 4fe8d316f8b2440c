using System.Diagnostics;
using NativeSpec.Model;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>Measures T(n), the time of a forward of n nodes, on this machine with this model.</summary>
internal static class CostProbe
{
    private const int Repeats = 3;
    private const double LongForward = 0.2; // seconds; a forward this long is timed once
    private const double Budget = 2;        // seconds; the curve's end is extrapolated rather than waited for longer
    private const int Prefix = 32;

    /// <summary>Times forwards of 1, 2, 4, … nodes after a short prefix; the fastest of a few each, because everything that disturbs a run
    /// makes it slower.</summary>
    public static CostCurve Measure(LlamaModel model, KvCache cache, int maxNodes)
    {
        using var sequence = cache.TryOpen(Math.Min(Prefix + maxNodes, model.Limits.MaxContext))
            ?? throw new InvalidOperationException("the cache has no room to measure in");
        var most = Math.Min(maxNodes, Math.Min(sequence.Capacity / 2, model.Limits.MaxLogitRows));
        var forest = new Forest(1);
        var tree = new TokenTree(Math.Max(Prefix, maxNodes));
        Compute(Math.Min(Prefix, sequence.Capacity / 2));
        sequence.CommitChain(tree.Count);
        var (nodes, seconds) = (new List<int>(), new List<double>());
        var began = Stopwatch.GetTimestamp();
        for (var n = 1; n <= most && Stopwatch.GetElapsedTime(began).TotalSeconds < Budget; n *= 2)
        {
            var fastest = Compute(n);
            for (var repeat = 1; repeat < Repeats && fastest < LongForward; repeat++)
            {
                fastest = Math.Min(fastest, Compute(n));
            }

            nodes.Add(n);
            seconds.Add(fastest);
        }

        return new CostCurve([.. nodes], [.. seconds]);

        double Compute(int count)
        {
            tree.Clear();
            for (var node = 0; node < count; node++)
            {
                tree.Add(node == 0 ? -1 : 0, node % model.Config.VocabSize);
            }

            forest.Clear();
            forest.Add(sequence, tree, sequence.Length == 0 ? count : 0);
            var start = Stopwatch.GetTimestamp();
            model.Forward(forest);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }
}
