using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>What is wrong with the walk, in a control that must fail.</summary>
public enum WalkFault
{
    None,
    DraftOfAnotherTemperature,
    DroppedResidual,
}

/// <summary>A target and a draft whose logits are tables of the path, and texts of a few tokens written by the production walk over a tree of
/// certain and drawn children, with the production random numbers of many seeds.</summary>
internal sealed class JointLaw(int vocab, int length, SamplingOptions options)
{
    private const int Root = 0;
    private readonly Chooser _chooser = new(vocab);
    private readonly SamplingRule _hotter = new(options with { Temperature = options.Temperature + 1 }, 1, vocab);
    private readonly Verifier _verifier = new(vocab);
    private readonly TokenDistribution _distribution = new(vocab);
    private readonly Dictionary<int, float[]> _logits = [];

    /// <summary>[vocab^length] the law of plain decoding, exactly.</summary>
    public double[] Exact()
    {
        var law = new double[(int)Math.Pow(vocab, length)];
        Extend([], 1, 0);
        return law;

        void Extend(int[] path, double weight, int cell)
        {
            if (path.Length == length)
            {
                law[cell] = weight;
                return;
            }

            Process(Logits(0, path), path, Rule(1));
            double[] p = [.. Enumerable.Range(0, vocab).Select(token => (double)_distribution.Probability(token))];
            for (var token = 0; token < vocab; token++)
            {
                if (p[token] > 0)
                {
                    Extend([.. path, token], weight * p[token] / p.Sum(), (cell * vocab) + token);
                }
            }
        }
    }

    /// <summary>[vocab^length] how often each text is written.</summary>
    public long[] Count(int seeds, WalkFault fault)
    {
        var counts = new long[(int)Math.Pow(vocab, length)];
        var tree = new DraftTree(16, vocab);
        for (var seed = 0UL; seed < (ulong)seeds; seed++)
        {
            List<int> text = [];
            while (text.Count < length)
            {
                Draft(tree, [.. text], seed, fault);
                Walk(tree, text, seed, fault);
            }

            counts[text.Take(length).Aggregate(0, (cell, token) => (cell * vocab) + token)]++;
        }

        return counts;
    }

    /// <summary>Below the root one certain child and two drawn ones, below the newest of them one more drawn.</summary>
    private void Draft(DraftTree tree, int[] text, ulong seed, WalkFault fault)
    {
        tree.BeginRound(Root, length - text.Length, mostForced: 16);
        tree.BeginTurn(0, DraftKind.Sampled, probes: 0);
        var chance = new CounterChance(seed, 1u << 20);
        chance.MoveTo(1 + text.Length);
        tree.Add(0, (int)(seed % 3));
        var newest = Draw(tree, 0, text, 2, chance, fault);
        if (newest >= 0 && tree.HasRoomBelow(newest))
        {
            chance.MoveTo(2 + text.Length);
            Draw(tree, newest, [.. text, tree.Token(newest)], 1, chance, fault);
        }
    }

    private int Draw(DraftTree tree, int node, int[] path, int count, CounterChance chance, WalkFault fault)
    {
        var newest = -1;
        Process(Logits(1, path), path, Rule(1));
        if (tree.Sample(node, _distribution) is not { } children)
        {
            return -1;
        }

        for (var i = 0; i < count; i++)
        {
            newest = Math.Max(newest, children.Draw(chance));
        }

        if (fault == WalkFault.DraftOfAnotherTemperature)
        {
            Process(Logits(1, path), path, _hotter);
            for (var token = 0; token < vocab; token++)
            {
                // What was drawn stands in the tree by now, so its probability is read off the distribution.
                children.Probabilities[token] = children.Probabilities[token] > 0 ? _distribution.Probability(token) : 0;
            }
        }

        return newest;
    }

    private void Walk(DraftTree tree, List<int> text, ulong seed, WalkFault fault)
    {
        var planned = new PlannedTree(tree);
        planned.Begin(most: 16);
        for (var node = 1; node < tree.Count; node++)
        {
            planned.Choose(node);
        }

        planned.End();
        var history = HistoryOf([.. text]);
        var (writer, sampling) = (new TextList(history), new RequestSampling(_chooser, Rule(seed), history));
        int[] before = [.. text];
        var result = _verifier.Walk(new WalkResult(planned), new TableRows(planned, path => Logits(0, [.. before, .. path]), sampling), 0, sampling, writer);
        text.AddRange(writer.Tokens);
        var last = result.AcceptedPath[^1];
        if (fault == WalkFault.DroppedResidual && tree.Sampled(last) is not null && tree.FindChild(last, text[^1]) < 0)
        {
            // The last token anew from all of the target's distribution, though the sampled children have been refused.
            text.RemoveAt(text.Count - 1);
            Process(Logits(0, [.. text]), [.. text], Rule(seed));
            text.Add(new CounterChance(seed ^ 0x5555).Draw(_distribution));
        }
    }

    private SamplingRule Rule(ulong seed) => new(options, seed, vocab);

    private void Process(float[] logits, int[] path, SamplingRule rule)
        => _chooser.Process(logits, HistoryOf(path).Choice(rule), _distribution);

    private TokenHistory HistoryOf(int[] path)
    {
        var history = new TokenHistory(vocab, 8, _hotter.NeedsHistory);
        history.Start([Root]);
        Array.ForEach(path, history.Push);
        return history;
    }

    /// <summary>[vocab] logits after a path, of the target (0) or the draft (1): related, as those of a good draft are.</summary>
    private float[] Logits(int model, int[] path)
    {
        var key = path.Aggregate(model, (hash, token) => (hash * 53) + token + 1);
        if (!_logits.TryGetValue(key, out var logits))
        {
            var (own, common) = (new Random(key), new Random(path.Aggregate(7, (hash, token) => (hash * 53) + token + 1)));
            _logits[key] = logits = [.. Enumerable.Range(0, vocab).Select(_ => (float)((2 * own.NextDouble()) + (2 * common.NextDouble())))];
        }

        return logits;
    }
}
