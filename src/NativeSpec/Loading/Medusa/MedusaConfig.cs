namespace NativeSpec.Loading.Medusa;

/// <summary>What is used of the config.json beside Medusa heads. All of it may be missing. <c>medusa_num_heads</c> is not used: published
/// files say fewer heads than they hold.</summary>
internal sealed record MedusaConfig
{
    /// <summary>Blocks of a head.</summary>
    public int? Layers { get; init; }

    public int? HiddenSize { get; init; }

    public int? VocabSize { get; init; }

    /// <summary>Rows of the vocabulary matrices where they cover a part of the vocabulary (vLLM).</summary>
    public int? TruncatedVocabSize { get; init; }

    /// <summary>Whether the vocabulary matrix of head 0 is the model's own and that of all heads (vLLM).</summary>
    public bool UsesOriginalLmHead { get; init; }

    /// <summary>The model that the heads were trained on, by the name that their makers use.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Reads the config.json of a folder; null where there is none.</summary>
    public static MedusaConfig? Read(string folder, LoadLimits limits)
    {
        var file = Path.Combine(folder, "config.json");
        if (!Path.Exists(file))
        {
            return null;
        }

        using var document = JsonText.ParseObject(file, RegularFile.ReadAll(file, limits.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)));
        var fields = new JsonFields(file, document.RootElement);
        // In vLLM's own configuration the layers of a block go by the name that means decoder layers everywhere else.
        var isVllm = fields.Text("model_type") == "medusa" && fields.Value("medusa_num_layers") is null;
        return new MedusaConfig
        {
            Layers = fields.Integer(isVllm ? "num_hidden_layers" : "medusa_num_layers", 0, MedusaName.Most),
            HiddenSize = fields.Integer("hidden_size", 1, limits.MaxWidth),
            VocabSize = fields.Integer("vocab_size", 1, limits.MaxVocabSize),
            TruncatedVocabSize = fields.Integer("truncated_vocab_size", 1, limits.MaxVocabSize),
            UsesOriginalLmHead = fields.Boolean("original_lm_head") ?? false,
            BaseModel = fields.Text("base_model_name_or_path"),
        };
    }
}
