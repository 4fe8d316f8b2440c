namespace NativeSpec.Sampling;

/// <summary>The memory in which samplers work, made once for a vocabulary. Samplers of many requests can share one as long as one of
/// them works at a time: nothing in it outlives a call, except that <see cref="Distribution"/> is what the last
/// <see cref="Sampler.Sample"/> drew from.</summary>
internal sealed class SamplerWorkspace
{
    /// <summary>Makes the memory for a vocabulary.</summary>
    public SamplerWorkspace(int vocabSize)
    {
        Distribution = new TokenDistribution(vocabSize);
        Scores = new float[vocabSize];
        CandidateScores = new float[vocabSize];
        CandidateWeights = new float[vocabSize];
    }

    /// <summary>The distribution that <see cref="Sampler.Sample"/> fills.</summary>
    public TokenDistribution Distribution { get; }

    /// <summary>Processed logits. [vocab]</summary>
    public float[] Scores { get; }

    /// <summary>Sums of a <see cref="RankSelection"/>. [<see cref="RankSelection.SumCount"/>]</summary>
    public double[] Sums { get; } = new double[RankSelection.SumCount];

    /// <summary>Scores of the tokens among which a <see cref="RankSelection"/> looks. [vocab]</summary>
    public float[] CandidateScores { get; }

    /// <summary>Their weights. [vocab]</summary>
    public float[] CandidateWeights { get; }
}
