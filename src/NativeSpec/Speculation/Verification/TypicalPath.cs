using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>Finds the longest path that Medusa's typical acceptance takes; among equally long ones the most likely. <b>Lossy</b>: see
/// <see cref="LossyTypicalAcceptance"/>.</summary>
internal sealed class TypicalPath(int vocabSize, LossyTypicalAcceptance acceptance)
{
    private readonly TokenDistribution _distribution = new(vocabSize);
    private readonly List<int> _path = [];
    private readonly List<int> _best = [];
    private double _bestLikelihood;

    /// <summary>The accepted nodes below the root, from above.</summary>
    public IReadOnlyList<int> Find(WalkResult round, RequestSampling sampling)
    {
        _best.Clear();
        _bestLikelihood = 0;
        Follow(round, 0, 0, sampling);
        return _best;
    }

    private void Follow(WalkResult round, int node, double likelihood, RequestSampling sampling)
    {
        var tree = round.Tree;
        sampling.Chooser.Process(round.Logits(node), sampling.Choice, _distribution);
        var threshold = Math.Min(acceptance.Epsilon, acceptance.Delta * Math.Exp(-Entropy()));
        List<(int Child, double Probability)> accepted = [];
        for (var child = tree.FirstChild(node); child >= 0; child = tree.NextSibling(child))
        {
            var p = _distribution.Probability(tree.Token(child));
            if (!tree.IsProbe(child) && round.WasComputed(child) && p > threshold)
            {
                accepted.Add((child, p));
            }
        }

        foreach (var (child, p) in accepted)
        {
            _path.Add(child);
            sampling.History.Push(tree.Token(child));
            var sum = likelihood + Math.Log(p);
            if (_path.Count > _best.Count || (_path.Count == _best.Count && sum > _bestLikelihood))
            {
                _best.Clear();
                _best.AddRange(_path);
                _bestLikelihood = sum;
            }

            Follow(round, child, sum, sampling);
            sampling.History.Pop();
            _path.RemoveAt(_path.Count - 1);
        }
    }

    private double Entropy()
    {
        var entropy = 0.0;
        foreach (var p in _distribution.Probabilities)
        {
            entropy -= p * Math.Log(p + 1e-5);
        }

        return entropy;
    }
}
