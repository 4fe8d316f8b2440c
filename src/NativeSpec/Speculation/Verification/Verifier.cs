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

/// <summary>Chooses the text's next tokens from the target's own distribution, as far as the tree goes along. The law of the text is that
/// of plain decoding, whatever the drafters proposed.</summary>
/// <remarks>
/// <para><b>Target walk</b>, at a node whose children are a deterministic function of the past: choose x by the target's processed
/// distribution p; if x is a child, descend. This accepts as often as any rule can for a fixed set of children, and since the noise
/// is that of (seed, position), the text is the very text of plain decoding.</para>
/// <para><b>Residual walk</b>, at a node with children drawn from a draft distribution q: deterministic children first, with an x drawn from p; when x is
/// none of them, they are taken out of p. Then each drawn child c in its order is accepted with min(1, p(c)/q(c)); a refusal leaves
/// p ← norm(max(p − q, 0)) and takes c out of q. What is left of p is drawn from at the end. (Leviathan et al. 2023; without replacement:
/// Chen et al. 2024, "Sequoia".) Exact for any q, but the text of a seed is not that of plain decoding.</para>
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
        if (tree.Sampled(node) is { } sampled)
        {
            chooser.Process(nodes.Logits(node), choice, _distribution);
            return StepResidual(tree, nodes, node, sampled, chance);
        }

        var token = chance.Choose(chooser, nodes.Logits(node), choice);
        return new WalkStep(token, ComputedChild(tree, nodes, node, token));
    }

    private static int ComputedChild(DraftTree tree, INodeLogits nodes, int node, int token)
    {
        var child = tree.FindChild(node, token);
        return child >= 0 && nodes.WasComputed(child) ? child : -1;
    }

    private WalkStep StepResidual(DraftTree tree, INodeLogits nodes, int node, SampledChildren sampled, IChance chance)
    {
        var p = Dense(ref _p);
        var q = Dense(ref _q);
        for (var i = 0; i < _distribution.Count; i++)
        {
            p[_distribution.Ids[i]] = _distribution.Probabilities[i];
        }

        if (TryDeterministic(tree, nodes, node, sampled, p, chance) is { } step)
        {
            return step;
        }

        sampled.Probabilities.CopyTo(q, 0);
        foreach (var (token, child) in sampled.Drawn)
        {
            if (chance.Accept(Math.Min(1, (double)p[token] / q[token])))
            {
                return new WalkStep(token, child);
            }

            var left = Residual.Subtract(p, q);
            if (left <= 0)
            {
                return new WalkStep(token, child); // p = q but for rounding: it was certain to be accepted
            }

            Residual.Normalise(p, left);
            q[token] = 0;
            var remaining = Softmax.Sum(q);
            if (remaining > 0)
            {
                Residual.Normalise(q, remaining);
            }
        }

        return new WalkStep(chance.Draw(p, Softmax.Sum(p)), -1);
    }

    /// <summary>The target walk over the node's deterministic children; takes them out of p when it chose none of them.</summary>
    private WalkStep? TryDeterministic(
        DraftTree tree, INodeLogits nodes, int node, SampledChildren sampled, float[] p, IChance chance)
    {
        if (!HasDeterministic(tree, nodes, node, sampled))
        {
            return null;
        }

        var token = chance.Draw(_distribution);
        var child = ComputedChild(tree, nodes, node, token);
        if (child >= 0 && !IsDrawn(sampled, token))
        {
            return new WalkStep(token, child);
        }

        for (var other = tree.FirstChild(node); other >= 0; other = tree.NextSibling(other))
        {
            if (IsDeterministic(tree, nodes, sampled, other))
            {
                p[tree.Token(other)] = 0;
            }
        }

        Residual.Normalise(p, Softmax.Sum(p));
        return null;
    }

    private static bool HasDeterministic(DraftTree tree, INodeLogits nodes, int node, SampledChildren sampled)
    {
        for (var child = tree.FirstChild(node); child >= 0; child = tree.NextSibling(child))
        {
            if (IsDeterministic(tree, nodes, sampled, child))
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsDeterministic(DraftTree tree, INodeLogits nodes, SampledChildren sampled, int child)
        => !tree.IsProbe(child) && nodes.WasComputed(child) && !IsDrawn(sampled, tree.Token(child));

    private static bool IsDrawn(SampledChildren sampled, int token)
    {
        foreach (var (drawn, _) in sampled.Drawn)
        {
            if (drawn == token)
            {
                return true;
            }
        }

        return false;
    }

    private float[] Dense(ref float[]? storage)
    {
        storage ??= new float[vocabSize];
        Array.Clear(storage);
        return storage;
    }
}
