namespace NativeSpec.Sampling;

/// <summary>How the next token is chosen from the model's logits. The steps are taken in this order: repetition penalty, presence and
/// frequency penalties, logit bias, temperature, top-k, top-p, min-p; then one token is chosen by chance, each as often as its probability says.</summary>
/// <remarks>Penalties, temperature, top-k, top-p and min-p follow the order of Hugging Face's <c>generate</c>, so that a setting tuned
/// there means the same here. The bias comes after the penalties because it is a wish about a token in itself: it is worth the same
/// number of logits whatever the text already holds.</remarks>
public record SamplingOptions
{
    /// <summary>The most log-probabilities a request may ask for beside the chosen token's.</summary>
    public const int MaxTopLogProbs = 20;

    /// <summary>Logits are divided by this; 0 is greedy: the most likely token after penalties and bias, ties to the lowest id, and
    /// top-k, top-p, min-p and the seed have nothing left to decide. Null: the checkpoint's default, 0 where it has none.</summary>
    public float? Temperature { get; init; }

    /// <summary>Keeps the k most likely tokens; 0 keeps all. Exactly k are kept: of tokens with equal logits the lower ids stay.
    /// Null: the checkpoint's default, 0 where it has none.</summary>
    public int? TopK { get; init; }

    /// <summary>Keeps the smallest set of most likely tokens whose probability reaches this (nucleus sampling, Holtzman et al. 2019),
    /// measured after temperature and top-k; 1 keeps all, 0 the most likely token alone, as in Hugging Face's <c>generate</c>. Null: the checkpoint's default, 1 where it has none.</summary>
    public float? TopP { get; init; }

    /// <summary>Keeps the tokens at least this fraction as likely as the most likely one, measured after temperature; 0 keeps all.
    /// Null: the checkpoint's default, 0 where it has none.</summary>
    public float? MinP { get; init; }

    /// <summary>Hugging Face's repetition penalty (Keskar et al. 2019): the logit of every token that stands in the prompt or in the
    /// output, once however often it stands there, is divided by this when positive and multiplied when negative; 1 changes nothing.
    /// Null: the checkpoint's default, 1 where it has none.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>OpenAI's presence penalty: subtracted from the logit of every token that stands in the output (not in the prompt).</summary>
    public float PresencePenalty { get; init; }

    /// <summary>OpenAI's frequency penalty: subtracted from a token's logit once for each time it stands in the output (not in the
    /// prompt).</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Added to the logits of single tokens, by token id; −100 and 100 all but forbid and force a token.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The random numbers of the request. The same seed gives the same text, with speculation on or off and whatever else the
    /// engine is doing, as long as the sampler is of one version (<c>GenerationResult.SamplerVersion</c>). Null: the engine draws one and reports it with the result.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Log-probabilities wanted with each token: null for none, 0 for the chosen token's, n for those of the n most likely
    /// tokens too. They are of the model's own distribution, before any of the steps above.</summary>
    public int? TopLogProbs { get; init; }

    /// <summary>Checks every option against its allowed range.</summary>
    /// <param name="vocabSize">Size of the model's vocabulary: the ids of <see cref="LogitBias"/> must be below it.</param>
    /// <exception cref="ArgumentException">An option is out of its range; the message names it, its value and the range.</exception>
    public virtual void Validate(int vocabSize)
    {
        RequireRange(nameof(Temperature), Temperature, 0, float.MaxValue, "a finite number of at least 0 (0 is greedy)");
        Require(TopK is null or >= 0, nameof(TopK), TopK, "0 or more (0 keeps all tokens)");
        RequireRange(nameof(TopP), TopP, 0, 1, "between 0 and 1 (1 keeps all tokens, 0 the most likely one)");
        RequireRange(nameof(MinP), MinP, 0, 1, "between 0 and 1 (0 keeps all tokens)");
        RequireRange(
            nameof(RepetitionPenalty), RepetitionPenalty, float.Epsilon, float.MaxValue, "a finite number above 0 (1 changes nothing)");
        RequireRange(nameof(PresencePenalty), PresencePenalty, -2, 2, "between -2 and 2");
        RequireRange(nameof(FrequencyPenalty), FrequencyPenalty, -2, 2, "between -2 and 2");
        Require(TopLogProbs is null or (>= 0 and <= MaxTopLogProbs), nameof(TopLogProbs), TopLogProbs, $"between 0 and {MaxTopLogProbs}");
        if (LogitBias is null)
        {
            return;
        }

        foreach (var (token, bias) in LogitBias)
        {
            Require(token >= 0 && token < vocabSize, nameof(LogitBias), token, $"a token id between 0 and {vocabSize - 1}");
            RequireRange($"{nameof(LogitBias)}[{token}]", bias, -100, 100, "between -100 and 100");
        }
    }

    /// <summary>These options with what they leave open taken from a checkpoint's defaults.</summary>
    internal SamplingOptions WithDefaults(SamplingOptions checkpoint) => this with
    {
        Temperature = Temperature ?? checkpoint.Temperature,
        TopK = TopK ?? checkpoint.TopK,
        TopP = TopP ?? checkpoint.TopP,
        MinP = MinP ?? checkpoint.MinP,
        RepetitionPenalty = RepetitionPenalty ?? checkpoint.RepetitionPenalty,
    };

    private static void RequireRange(string option, float? value, float low, float high, string allowed) =>
        Require(value is null || (value >= low && value <= high), option, value, allowed);

    private protected static void Require(bool holds, string option, object? value, string allowed)
    {
        if (!holds)
        {
            throw new ArgumentException(FormattableString.Invariant($"{option} is {value}; it must be {allowed}"), option);
        }
    }
}
