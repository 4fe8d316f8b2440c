using System.Runtime.InteropServices;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>Children of one node that are sampled without replacement from a draft distribution q, and q itself: what the residual walk
/// needs to accept them without changing the distribution of the text. <see cref="DraftTree.Sample"/> makes them, one for a node.</summary>
/// <remarks>The node's children so far are taken out of q <i>before</i> anything is drawn, and it gets no others afterwards. Drawing first
/// and dropping a child that happens to stand there already would bias the text.</remarks>
internal sealed class SampledChildren(DraftTree tree, int vocabSize)
{
    private readonly List<(int Token, int Node)> _drawn = [];
    private readonly float[] _left = new float[vocabSize];
    private double _total;
    private int _parent;

    /// <summary>[vocab] the probabilities that the first child was drawn with; each later one was drawn from the same without the earlier
    /// ones, renormalised.</summary>
    public float[] Probabilities { get; } = new float[vocabSize];

    /// <summary>Tokens and nodes, in the order they were drawn.</summary>
    public ReadOnlySpan<(int Token, int Node)> Drawn => CollectionsMarshal.AsSpan(_drawn);

    /// <summary>Begins at a node: takes the draft's distribution without the node's children.</summary>
    /// <returns>False when nothing is left to draw.</returns>
    internal bool Begin(int node, TokenDistribution draft)
    {
        _drawn.Clear();
        _parent = node;
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

    /// <summary>Whether this token was drawn.</summary>
    public bool Contains(int token)
    {
        foreach (var (drawn, _) in _drawn)
        {
            if (drawn == token)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Draws the next child and adds it to the tree.</summary>
    /// <returns>The node; −1 when nothing is left to draw, the tree is full or the drafter's turn is over, in which case nothing was drawn.</returns>
    public int Draw(IChance chance)
    {
        if (_total <= 0 || !tree.HasRoomBelow(_parent))
        {
            return -1;
        }

        var token = chance.Draw(_left, _total);
        _left[token] = 0;
        _total = Softmax.Sum(_left);
        var node = tree.AppendSampled(_parent, token);
        _drawn.Add((token, node));
        return node;
    }
}
