using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>What a walk reads: the computed nodes and the target's logits at each.</summary>
internal interface INodeLogits
{
    /// <summary>Whether the node was computed.</summary>
    bool WasComputed(int node);

    /// <summary>[vocab] the target's logits at a computed node.</summary>
    ReadOnlySpan<float> Logits(int node);
}

/// <summary>What the walk chose at a node: the next token of the text, and the child that holds it if one was computed.</summary>
/// <param name="Token">The token.</param>
/// <param name="Child">The node to go on at; −1 where the path ends.</param>
internal readonly record struct WalkStep(int Token, int Child);

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

    /// <summary>Chooses the token after a computed node.</summary>
    /// <param name="tree">The tree.</param>
    /// <param name="nodes">Which of its nodes were computed, with their logits.</param>
    /// <param name="node">Where the walk stands.</param>
    /// <param name="chooser">Works on the row.</param>
    /// <param name="choice">What stands between the node's row and the token.</param>
    /// <param name="chance">Random decisions, moved to the position of the token to choose.</param>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    public WalkStep Step(DraftTree tree, INodeLogits nodes, int node, Chooser chooser, in RowChoice choice, IChance chance)
    {
        int token;
        if (tree.Sampled(node) is { Drawn.Length: > 0 } sampled)
        {
            chooser.Process(nodes.Logits(node), choice, _distribution);
            token = ResidualWalk(tree, node, sampled, chance);
        }
        else
        {
            token = chance.Choose(chooser, nodes.Logits(node), choice);
        }

        var child = tree.FindChild(node, token);
        return new WalkStep(token, child >= 0 && nodes.WasComputed(child) ? child : -1);
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
