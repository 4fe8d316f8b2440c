namespace NativeSpec.Loading.Llama;

/// <summary>What the makers of a model recommend for sampling, as their <c>generation_config.json</c> gives it. A value that the file does
/// not give is null; settings beyond these are ignored.</summary>
public sealed record GenerationConfig
{
    /// <summary>The token that begins a text.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end a text, ascending; empty when the file names none.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Whether to sample rather than take the most likely token.</summary>
    public bool? DoSample { get; init; }

    /// <summary>Divides the logits; 0 or more.</summary>
    public float? Temperature { get; init; }

    /// <summary>Keep this many of the most likely tokens; 0 keeps all.</summary>
    public int? TopK { get; init; }

    /// <summary>Keep the most likely tokens that together have this probability; 0 to 1.</summary>
    public float? TopP { get; init; }

    /// <summary>Keep the tokens with at least this part of the highest probability; 0 to 1.</summary>
    public float? MinP { get; init; }

    /// <summary>Divides the positive and multiplies the negative logits of tokens seen before; above 0.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>Most tokens to generate; 1 or more.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Reads and checks a <c>generation_config.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabSize">The model's vocabulary, which bounds the token ids.</param>
    /// <param name="limits">What the file may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">The file cannot be read or a value is out of range.</exception>
    public static GenerationConfig Read(string path, int vocabSize, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, 1);
        limits ??= LoadLimits.Default;
        return Parse(path, RegularFile.ReadAll(path, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)), vocabSize);
    }

    internal static GenerationConfig Parse(string file, byte[] json, int vocabSize)
    {
        using var document = JsonFields.ParseDocument(file, json);
        var fields = new JsonFields(file, document.RootElement);
        return new GenerationConfig
        {
            BosTokenId = fields.Integer("bos_token_id", 0, vocabSize - 1L),
            EosTokenIds = fields.TokenIds("eos_token_id", vocabSize),
            DoSample = fields.Boolean("do_sample"),
            Temperature = fields.Single("temperature", 0, float.MaxValue),
            TopK = fields.Integer("top_k", 0),
            TopP = fields.Single("top_p", 0, 1),
            MinP = fields.Single("min_p", 0, 1),
            RepetitionPenalty = fields.Single("repetition_penalty", float.Epsilon, float.MaxValue),
            MaxNewTokens = fields.Integer("max_new_tokens", 1),
        };
    }
}
