using System.Runtime.InteropServices;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>Children of one node that were drawn without replacement from a draft distribution q, and q itself: what the residual walk
/// needs to accept them without changing the law of the text.</summary>
/// <remarks>The node's deterministic children are taken out of q <i>before</i> anything is drawn. Drawing first and dropping a child that
/// happens to stand there already would bias the text, and so would leaving a drawn child out of the tree afterwards.</remarks>
internal sealed class SampledChildren(int vocabSize)
{
    private readonly List<(int Token, int Node)> _drawn = [];
    private readonly float[] _left = new float[vocabSize];
    private double _total;

    /// <summary>[vocab] the probabilities that the first child was drawn with; each later one was drawn from the same without the earlier
    /// ones, renormalised.</summary>
    public float[] Probabilities { get; } = new float[vocabSize];

    /// <summary>Tokens and nodes, in the order they were drawn.</summary>
    public ReadOnlySpan<(int Token, int Node)> Drawn => CollectionsMarshal.AsSpan(_drawn);

    /// <summary>Begins at a node: takes the draft's distribution without the node's deterministic children.</summary>
    /// <returns>False when nothing is left to draw.</returns>
    public bool Begin(TokenDistribution draft, DraftTree tree, int node)
    {
        _drawn.Clear();
        Array.Clear(Probabilities);
        for (var i = 0; i < draft.Count; i++)
        {
            Probabilities[draft.Ids[i]] = tree.FindChild(node, draft.Ids[i]) < 0 ? draft.Probabilities[i] : 0;
        }

        var sum = Softmax.Sum(Probabilities);
        if (sum <= 0)
        {
            return false;
        }

        Residual.Normalise(Probabilities, sum);
        Probabilities.CopyTo(_left, 0);
        _total = Softmax.Sum(_left);
        return true;
    }

    /// <summary>Draws the next child and adds it to the tree.</summary>
    /// <returns>The node; −1 when nothing is left to draw or the tree is full, in which case nothing was drawn.</returns>
    public int DrawInto(DraftTree tree, int parent, IChance chance)
    {
        if (_total <= 0 || !tree.HasRoomBelow(parent))
        {
            return -1;
        }

        var token = chance.Draw(_left, _total);
        _left[token] = 0;
        _total = Softmax.Sum(_left);
        var node = tree.AddSampled(parent, token, this);
        _drawn.Add((token, node));
        return node;
    }
}
