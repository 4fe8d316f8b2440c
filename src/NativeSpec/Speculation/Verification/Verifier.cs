using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>Chooses the text's next tokens from the target's own distribution, as far as the tree goes along. The text has the distribution
/// of plain decoding, whatever the drafters proposed and whatever the planner left out.</summary>
/// <remarks>
/// <para><b>Target walk</b>, at a node whose children are certain: sample x from the target's processed distribution p; if x is a child, descend.
/// This accepts as often as any rule can for a fixed set of children, and since the random number is that of (seed, position), the text is
/// the very text of plain decoding.</para>
/// <para><b>Residual walk</b>, at a node with children sampled from a draft distribution q: certain children first, as above; when x is
/// none of them, they are taken out of p. Then each sampled child c in its order is accepted with min(1, p(c)/q(c)); a refusal leaves
/// p ← norm(max(p − q, 0)) and takes c out of q. What is left of p is sampled from at the end. (Leviathan et al. 2023; without replacement:
/// Chen et al. 2024, "Sequoia".) Exact for any q that the certain children were taken out of, which the tree sees to; but the text of a seed
/// is not that of plain decoding.</para>
/// <para>Which token is chosen at a node never depends on which of its children were computed: that only decides whether the path goes on. What
/// is computed may depend on what was sampled, by way of the budget, and would bias the text if it had a say.</para>
/// </remarks>
internal sealed class Verifier(int vocabSize)
{
    private readonly TokenDistribution _distribution = new(vocabSize);
    private float[]? _p;
    private float[]? _q;

    /// <summary>Walks along the computed part of a tree as far as the text goes along with it, and chooses one token more.</summary>
    /// <param name="result">The tree; receives the path and the tokens.</param>
    /// <param name="rows">The rows of the forward.</param>
    /// <param name="firstRow">The root's row; the other computed nodes follow in their order.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="text">Takes each token, and says whether the text goes on.</param>
    /// <returns>The result, filled.</returns>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    public WalkResult Walk(WalkResult result, IForwardResult rows, int firstRow, RequestSampling sampling, ITextWriter text)
    {
        result.Begin(rows, firstRow);
        sampling.MoveTo(0);
        var (node, goesOn) = sampling.Typical is { } typical ? FollowTypical(typical, result, sampling, text) : (0, true);
        while (goesOn)
        {
            var token = Choose(result, node, sampling);
            var child = result.Tree.FindChild(node, token);
            result.Emit(token);
            goesOn = text.Take(token, rows, result.RowOf(node));

            // The typical path has ended here; the target chooses one token more.
            if (sampling.Typical is not null || child < 0 || !result.WasComputed(child))
            {
                break;
            }

            node = child;
            Accept(result, node, sampling);
        }

        return result;
    }

    /// <summary>Takes the nodes that typical acceptance takes without verifying them.</summary>
    /// <returns>Where that ends, and whether the text goes on.</returns>
    private static (int Node, bool GoesOn) FollowTypical(TypicalPath typical, WalkResult result, RequestSampling sampling, ITextWriter text)
    {
        var (node, goesOn, path) = (0, true, typical.Find(result, sampling));
        for (var i = 0; i < path.Count && goesOn; i++)
        {
            var token = result.Tree.Token(path[i]);
            result.Emit(token);
            goesOn = text.Take(token, result.Rows, result.RowOf(node));
            node = path[i];
            Accept(result, node, sampling);
        }

        return (node, goesOn);
    }

    private static void Accept(WalkResult result, int node, RequestSampling sampling)
    {
        result.Accept(node);
        sampling.MoveTo(result.Planned.NumberOf(node));
    }

    /// <summary>Chooses the token after a computed node.</summary>
    private int Choose(WalkResult result, int node, RequestSampling sampling)
    {
        if (!result.Tree.HasDrawn(node))
        {
            return result.Rows.Choose(result.RowOf(node));
        }

        sampling.Chance.MoveTo(sampling.History.Count);
        sampling.Chooser.Process(result.Logits(node), sampling.Choice, _distribution);
        return ResidualWalk(result.Tree, node, result.Tree.Sampled(node)!, sampling.Chance);
    }

    private int ResidualWalk(DraftTree tree, int node, SampledChildren sampled, IChance chance)
    {
        var p = Dense(ref _p);
        var q = Dense(ref _q);
        for (var i = 0; i < _distribution.Count; i++)
        {
            p[_distribution.Ids[i]] = _distribution.Probabilities[i];
        }

        if (TryCertain(tree, node, sampled, p, chance) is { } certain)
        {
            return certain;
        }

        sampled.Probabilities.CopyTo(q, 0);
        foreach (var (token, _) in sampled.Drawn)
        {
            if (chance.Accept(Math.Min(1, (double)p[token] / q[token])))
            {
                return token;
            }

            var left = Residual.Subtract(p, q);
            if (left <= 0)
            {
                return token; // p = q but for rounding: it was certain to be accepted
            }

            Residual.Normalise(p, left);
            q[token] = 0;
            var remaining = Softmax.Sum(q);
            if (remaining > 0)
            {
                Residual.Normalise(q, remaining);
            }
        }

        return chance.Draw(p, Softmax.Sum(p));
    }

    /// <summary>The target walk over the node's certain children; takes them out of p when it chose none of them.</summary>
    private int? TryCertain(DraftTree tree, int node, SampledChildren sampled, float[] p, IChance chance)
    {
        var taken = false;
        for (var child = tree.FirstChild(node); child >= 0; child = tree.NextSibling(child))
        {
            if (!tree.IsProbe(child) && !sampled.Contains(tree.Token(child)))
            {
                p[tree.Token(child)] = 0;
                taken = true;
            }
        }

        if (!taken)
        {
            return null;
        }

        var token = chance.Draw(_distribution);
        if (tree.FindChild(node, token) >= 0 && !sampled.Contains(token))
        {
            return token;
        }

        Residual.Normalise(p, Softmax.Sum(p));
        return null;
    }

    private float[] Dense(ref float[]? storage)
    {
        storage ??= new float[vocabSize];
        Array.Clear(storage);
        return storage;
    }
}
