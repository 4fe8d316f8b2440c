namespace NativeSpec.Sampling;

/// <summary>One request's way to choose tokens, as plain numbers: its options with every default filled in, checked, and its seed. Made once
/// per request and never changed, so it can be handed to any device.</summary>
internal sealed class SamplingRule
{
    private readonly int[] _biasedIds; // ascending
    private readonly float[] _biases;

    /// <summary>Takes a request's options.</summary>
    /// <param name="options">The options with the checkpoint's defaults filled in. What is still null is off, and the temperature 1. Their
    /// seed is not looked at.</param>
    /// <param name="seed">The request's seed, or the one drawn for it.</param>
    /// <param name="vocabSize">Size of the model's vocabulary.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public SamplingRule(SamplingOptions options, ulong seed, int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        options.Validate(vocabSize);
        VocabSize = vocabSize;
        Seed = seed;
        Temperature = options.Temperature ?? 1;
        TopK = options.TopK is { } topK && topK < vocabSize ? topK : 0;
        TopP = options.TopP ?? 1;
        MinP = options.MinP ?? 0;
        RepetitionPenalty = options.RepetitionPenalty ?? 1;
        PresencePenalty = options.PresencePenalty;
        FrequencyPenalty = options.FrequencyPenalty;
        (_biasedIds, _biases) = Biased(options.LogitBias);
    }

    /// <summary>Ids are below this.</summary>
    public int VocabSize { get; }

    /// <summary>The key of the request's random numbers.</summary>
    public ulong Seed { get; }

    /// <summary>Scores are divided by this; 0 takes the highest.</summary>
    public float Temperature { get; }

    /// <summary>How many of the highest scores stay, below <see cref="VocabSize"/>; 0 keeps all.</summary>
    public int TopK { get; }

    /// <summary>The probability that the most likely tokens which stay must reach; 1 keeps all, 0 the most likely one.</summary>
    public float TopP { get; }

    /// <summary>The least probability that stays, as a part of the highest; 0 keeps all.</summary>
    public float MinP { get; }

    /// <summary>Divides the positive and multiplies the negative logits of tokens in the text; 1 is off.</summary>
    public float RepetitionPenalty { get; }

    /// <summary>Subtracted from the logits of tokens in the output; 0 is off.</summary>
    public float PresencePenalty { get; }

    /// <summary>Subtracted from them once for each time they stand there; 0 is off.</summary>
    public float FrequencyPenalty { get; }

    /// <summary>The ids that have a bias, ascending.</summary>
    public ReadOnlySpan<int> BiasedIds => _biasedIds;

    /// <summary>[<see cref="BiasedIds"/>] what is added to their logits.</summary>
    public ReadOnlySpan<float> Biases => _biases;

    /// <summary>Whether the token is the one with the highest score, and the seed decides nothing.</summary>
    public bool IsGreedy => Temperature == 0;

    /// <summary>Whether a penalty looks at the text: if so, its history must track tokens.</summary>
    public bool NeedsHistory => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    /// <summary>Whether a token's score can differ from its logit.</summary>
    public bool ChangesScores => NeedsHistory || _biases.Length > 0;

    private static (int[] Ids, float[] Biases) Biased(IReadOnlyDictionary<int, float>? biases)
    {
        if (biases is null)
        {
            return ([], []);
        }

        int[] ids = [.. biases.Where(bias => bias.Value != 0).Select(bias => bias.Key).Order()];
        return (ids, Array.ConvertAll(ids, id => biases[id]));
    }
}
