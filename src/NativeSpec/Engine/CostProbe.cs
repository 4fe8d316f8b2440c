using System.Diagnostics;
using NativeSpec.Model;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>Measures T(n), the time of a forward of n nodes, on this machine with this model.</summary>
internal static class CostProbe
{
    private const int Repeats = 3;
    private const int Prefix = 32;

    /// <summary>Times forwards of 1, 2, 4, … nodes after a short prefix; the fastest of three each, because everything that disturbs a run
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
        for (var n = 1; n <= most; n *= 2)
        {
            nodes.Add(n);
            seconds.Add(Enumerable.Range(0, Repeats).Min(_ => Compute(n)));
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
            var began = Stopwatch.GetTimestamp();
            model.Forward(forest);
            return Stopwatch.GetElapsedTime(began).TotalSeconds;
        }
    }
}
