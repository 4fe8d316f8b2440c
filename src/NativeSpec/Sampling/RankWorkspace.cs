namespace NativeSpec.Sampling;

/// <summary>The memory in which a <see cref="RankSelection"/> works, made once for a vocabulary; nothing in it outlives a selection.</summary>
internal sealed class RankWorkspace(int vocabSize)
{
    /// <summary>Scores of the tokens among which the selection looks. [vocab]</summary>
    public float[] Scores { get; } = new float[vocabSize];

    /// <summary>Their weights. [vocab]</summary>
    public float[] Weights { get; } = new float[vocabSize];

    /// <summary>Sums by digit. [<see cref="RankSelection.SumCount"/>]</summary>
    public double[] Sums { get; } = new double[RankSelection.SumCount];
}
