using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>What the makers of a model recommend for sampling, as their <c>generation_config.json</c> gives it. A value that the file does
/// not give is null. Values mean what transformers' <c>generate</c> does with them: what it would refuse is an error where it would be used
/// (<c>do_sample</c> is true, or the repetition penalty), and left aside where it would not; settings beyond these are left aside.</summary>
public sealed record GenerationConfig
{
    // What else changes the text that transformers writes, and the number that changes nothing.
    private static readonly (string Name, double? Off)[] Others =
    [
        ("num_beams", 1), ("no_repeat_ngram_size", 0), ("encoder_repetition_penalty", 1), ("typical_p", 1), ("epsilon_cutoff", 0), ("eta_cutoff", 0),
        ("top_h", null), ("penalty_alpha", 0), ("guidance_scale", 1), ("min_new_tokens", 0), ("bad_words_ids", null), ("suppress_tokens", null),
        ("begin_suppress_tokens", null), ("forced_bos_token_id", null), ("forced_eos_token_id", null), ("sequence_bias", null),
        ("exponential_decay_length_penalty", null), ("stop_strings", null),
    ];

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

    internal static GenerationConfig Parse(string file, byte[] json, int vocabSize, List<string>? notes = null)
    {
        using var document = JsonText.ParseObject(file, json);
        var fields = new JsonFields(file, document.RootElement, notes);
        var samples = fields.Boolean("do_sample");
        NoteWhatIsLeftAside(fields);
        return new GenerationConfig
        {
            BosTokenId = fields.TokenId("bos_token_id", vocabSize),
            EosTokenIds = fields.TokenIds("eos_token_id", vocabSize),
            DoSample = samples,
            Temperature = Sampling(() => fields.Single("temperature", 0, float.MaxValue)),
            TopK = Sampling(() => fields.Integer("top_k", 0, int.MaxValue)),
            // From 1 on nothing is cut off.
            TopP = Sampling(() => fields.Single("top_p", 0, float.MaxValue) is { } p ? Math.Min(p, 1) : (float?)null),
            MinP = Sampling(() => fields.Single("min_p", 0, 1)),
            RepetitionPenalty = fields.Single("repetition_penalty", float.Epsilon, float.MaxValue),
        };

        T? Sampling<T>(Func<T?> read)
            where T : struct
        {
            try
            {
                return read();
            }
            catch (ModelFormatException error) when (samples != true)
            {
                notes?.Add($"{error.Message}: left aside, because do_sample is not true");
                return null;
            }
        }
    }

    private static void NoteWhatIsLeftAside(JsonFields fields)
    {
        foreach (var (name, off) in Others)
        {
            if (fields.Value(name) is { } value && !(value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number == off))
            {
                fields.Note(name, $"is {JsonText.Describe(value)}, which is not done here: left aside");
            }
        }
    }
}
