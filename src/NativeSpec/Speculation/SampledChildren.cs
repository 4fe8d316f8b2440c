namespace NativeSpec.Speculation;

/// <summary>Children of one node that were drawn without replacement from a draft distribution q, and q itself: what the residual walk
/// needs to accept them without changing the law of the text.</summary>
internal sealed class SampledChildren(int vocabSize)
{
    private readonly List<(int Token, int Node)> _drawn = [];

    /// <summary>[vocab] the probabilities that the first child was drawn with; each later one was drawn from the same without the earlier
    /// ones, renormalised.</summary>
    public float[] Probabilities { get; } = new float[vocabSize];

    /// <summary>Tokens and nodes, in the order they were drawn.</summary>
    public IReadOnlyList<(int Token, int Node)> Drawn => _drawn;

    /// <summary>Forgets the children, for use at another node.</summary>
    public void Clear() => _drawn.Clear();

    public void AddDrawn(int token, int node) => _drawn.Add((token, node));
}
