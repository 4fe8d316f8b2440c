using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>What is drafted at a node: these tokens for certain, so many drawn from the draft, and what is drafted below the newest child.</summary>
public sealed record Shape(int[] Deterministic, int Sampled, Shape? Below = null)
{
    public override string ToString() => $"[{string.Join(',', Deterministic)}]+{Sampled}{(Below is null ? "" : $"/{Below}")}";
}

/// <summary>One drafter's turn in a round: it adds a child for certain, samples some, or looks through a token.</summary>
/// <param name="Does">What it does.</param>
/// <param name="Value">The token; of a sampling drafter, how many children it draws.</param>
/// <param name="AtNewest">Whether it does so at the newest candidate instead of the root.</param>
public sealed record Turn(TurnKind Does, int Value, bool AtNewest = false)
{
    public override string ToString() => $"{Does} {Value}{(AtNewest ? " below the newest" : "")}";
}

/// <summary>What a drafter does in its turn.</summary>
public enum TurnKind
{
    Certain,
    Sample,
    SampleOtherwise, // from another distribution
    Probe,
}

/// <summary>A target and a draft with a tiny vocabulary whose next-token distributions are random tables of the path, and the exact law of
/// the text that speculation writes in it.</summary>
internal sealed class TinyWorld(int vocab, int seed, SamplingOptions options)
{
    private const int Length = 3;
    private readonly Dictionary<string, float[]> _logits = [];
    private readonly Chooser _chooser = new(vocab);
    private readonly SamplingRule _rule = new(options, 1, vocab);
    private readonly TokenDistribution _scratch = new(vocab);

    /// <summary>One round written by <paramref name="speculate"/> (the tokens it adds to the text), the rest by plain decoding: the
    /// largest difference between its law and plain decoding's over all texts of three tokens, as total variation.</summary>
    public double Distance(Func<TinyWorld, IChance, IReadOnlyList<int>> speculate)
    {
        var law = new Dictionary<string, double>();
        Branches.ForEach(branches =>
        {
            var text = speculate(this, branches);
            Extend(law, [.. text.Take(Length)], branches.Weight);
        });
        var plain = new Dictionary<string, double>();
        Extend(plain, [], 1);
        return 0.5 * plain.Keys.Union(law.Keys).Sum(key => Math.Abs(plain.GetValueOrDefault(key) - law.GetValueOrDefault(key)));
    }

    /// <summary>The target's processed distribution after a path.</summary>
    public float[] Target(IReadOnlyList<int> path) => Dense(Table("p", path), path);

    /// <summary>The draft's distribution after a path, at a temperature of its own.</summary>
    public float[] Draft(IReadOnlyList<int> path, float temperature = 1)
        => Softmax([.. Table("q", path).Select(logit => logit / temperature)]);

    public float[] TargetLogits(IReadOnlyList<int> path) => Table("p", path);

    public TokenDistribution DraftDistribution(IReadOnlyList<int> path, float temperature = 1)
    {
        Draft(path, temperature).CopyTo(_scratch.Weights);
        _scratch.Normalise(vocab, isWholeVocabulary: true);
        return _scratch;
    }

    /// <summary>One round by the production code: drafters' tree, then the verifier's walk.</summary>
    public IReadOnlyList<int> Round(Shape shape, IChance chance)
    {
        var tree = new DraftTree(32, vocab);
        tree.BeginRound(0, Length - 1, mostForced: 32);
        tree.BeginTurn(0, DraftKind.Sampled, probes: 0);
        Build(tree, 0, [], shape, chance);
        return Walk(tree, (_, _) => true, chance);
    }

    /// <summary>One round in which drafters, each in a turn of its own, build the tree in any order.</summary>
    /// <param name="turns">What they do.</param>
    /// <param name="computes">Whether a node that is not forced is computed when its parent is: the planner's choice, which may depend on all
    /// of the tree.</param>
    /// <param name="chance">The random decisions.</param>
    public IReadOnlyList<int> Round(IReadOnlyList<Turn> turns, Func<DraftTree, int, bool> computes, IChance chance)
    {
        var tree = new DraftTree(32, vocab);
        tree.BeginRound(0, Length - 1, mostForced: 32);
        for (var (i, newest) = (0, 0); i < turns.Count; i++)
        {
            tree.BeginTurn(i, DraftKind.Sampled, probes: 4);
            var (at, added) = (turns[i].AtNewest ? newest : 0, -1);
            switch (turns[i].Does)
            {
                case TurnKind.Certain:
                    added = tree.Add(at, turns[i].Value);
                    break;
                case TurnKind.Probe:
                    tree.AddProbe(at, turns[i].Value);
                    break;
                default:
                    var children = tree.Sample(at, DraftDistribution(PathTo(tree, at), turns[i].Does == TurnKind.Sample ? 1 : 0.3f));
                    for (var drawn = 0; children is not null && drawn < turns[i].Value; drawn++)
                    {
                        added = Math.Max(added, children.Draw(chance));
                    }

                    break;
            }

            newest = added < 0 ? newest : added;
            tree.EndTurn();
        }

        return Walk(tree, computes, chance);
    }

    /// <summary>The production walk over the nodes that are computed.</summary>
    private List<int> Walk(DraftTree tree, Func<DraftTree, int, bool> computes, IChance chance)
    {
        var planned = new PlannedTree(tree);
        planned.Begin(most: 32);
        for (var node = 1; node < tree.Count; node++)
        {
            if (computes(tree, node))
            {
                planned.Choose(node);
            }
        }

        planned.End();
        var history = new TokenHistory(vocab, 8, _rule.NeedsHistory);
        history.Start([0]);
        var text = new TextList(history);
        var sampling = new RequestSampling(_chooser, _rule, history) { Chance = chance };
        new Verifier(vocab).Walk(new WalkResult(planned), new TableRows(planned, TargetLogits, sampling), firstRow: 0, sampling, text);
        return text.Tokens;
    }

    private void Build(DraftTree tree, int node, int[] path, Shape shape, IChance chance)
    {
        var newest = -1;
        foreach (var token in shape.Deterministic)
        {
            newest = tree.Add(node, token);
        }

        if (shape.Sampled > 0)
        {
            var children = tree.Sample(node, DraftDistribution(path));
            for (var i = 0; children is not null && i < shape.Sampled; i++)
            {
                var child = children.Draw(chance);
                newest = child < 0 ? newest : child;
            }
        }

        if (shape.Below is not null && newest >= 0)
        {
            Build(tree, newest, [.. path, tree.Token(newest)], shape.Below, chance);
        }
    }

    private void Extend(Dictionary<string, double> law, int[] text, double weight)
    {
        if (text.Length == Length)
        {
            var key = string.Join(' ', text);
            law[key] = law.GetValueOrDefault(key) + weight;
            return;
        }

        var p = Target(text);
        for (var token = 0; token < vocab; token++)
        {
            if (p[token] > 0)
            {
                Extend(law, [.. text, token], weight * p[token]);
            }
        }
    }

    private float[] Dense(float[] logits, IReadOnlyList<int> path)
    {
        var history = new TokenHistory(vocab, 8, _rule.NeedsHistory);
        history.Start([0]);
        foreach (var token in path)
        {
            history.Push(token);
        }

        var distribution = new TokenDistribution(vocab);
        _chooser.Process(logits, history.Choice(_rule), distribution);
        return [.. Enumerable.Range(0, vocab).Select(distribution.Probability)];
    }

    private float[] Table(string kind, IReadOnlyList<int> path)
    {
        var key = kind + string.Join(',', path);
        if (!_logits.TryGetValue(key, out var logits))
        {
            // A hash of the path, so that the table does not depend on which paths were asked for first.
            var random = new Random(key.Aggregate(seed, (hash, c) => (hash * 31) + c));
            _logits[key] = logits = [.. Enumerable.Range(0, vocab).Select(_ => (float)(random.NextDouble() * 4))];
        }

        return logits;
    }

    private static float[] Softmax(float[] logits)
    {
        var weights = logits.Select(logit => Math.Exp(logit - logits.Max())).ToArray();
        return [.. weights.Select(weight => (float)(weight / weights.Sum()))];
    }

    public static List<int> PathTo(DraftTree tree, int node)
    {
        List<int> path = [];
        for (; node > 0; node = tree.Parent(node))
        {
            path.Insert(0, tree.Token(node));
        }

        return path;
    }
}
