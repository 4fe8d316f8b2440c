using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Reads <c>config.json</c>. Old and new spellings are understood; what would change the computation and is not done here is
/// refused by name (see <see cref="UnsupportedSettings"/>); everything else is ignored.</summary>
internal static class LlamaConfigReader
{
    public static LlamaConfig Parse(string file, byte[] json, LoadLimits limits, List<string>? notes = null)
    {
        using var document = JsonText.ParseObject(file, json);
        var fields = new JsonFields(file, document.RootElement, notes);
        var family = ReadFamily(fields);
        fields = fields.WithDefaults(family.Defaults);
        fields.NoteDefaults();
        UnsupportedSettings.Refuse(fields, family);

        var hidden = fields.RequiredInteger("hidden_size", 1, limits.MaxWidth);
        var heads = fields.RequiredInteger("num_attention_heads", 1, limits.MaxHeads);
        var vocab = fields.RequiredInteger("vocab_size", 1, limits.MaxVocabSize);
        var layers = fields.RequiredInteger("num_hidden_layers", 1, limits.MaxLayers);
        var context = ReadContext(fields, limits);
        var rope = RopeReader.Read(fields, family, context);
        var rotated = LayerReader.ReadRotated(fields, family, layers);
        var (window, windowedLayers) = LayerReader.ReadWindow(fields, family, layers, rotated);
        var config = new LlamaConfig
        {
            HiddenSize = hidden,
            IntermediateSize = fields.RequiredInteger("intermediate_size", 1, limits.MaxWidth),
            NumHiddenLayers = layers,
            NumAttentionHeads = heads,
            NumKeyValueHeads = fields.Integer("num_key_value_heads", 1, limits.MaxHeads) ?? heads,
            HeadDim = fields.Integer("head_dim", 1, limits.MaxWidth) ?? family.HeadDim ?? DividedHeadDim(fields, hidden, heads),
            VocabSize = vocab,
            MaxPositionEmbeddings = StretchedContext(context, rope.Scaling, limits),
            RmsNormEps = (float)(fields.Number("rms_norm_eps") ?? throw fields.Error("rms_norm_eps", "is null; expected a number above 0")),
            RopeTheta = rope.Theta,
            RopeScaling = rope.Scaling,
            PartialRotaryFactor = rope.PartialRotaryFactor,
            RotatedLayers = rotated,
            SlidingWindow = window,
            WindowedLayers = windowedLayers,
            TieWordEmbeddings = fields.Boolean("tie_word_embeddings") ?? family.TieWordEmbeddings,
            AttentionBias = family.AttentionBias && (fields.Boolean("attention_bias") ?? false),
            QkvBias = family.QkvBias,
            QkNorm = family.QkNorm,
            MlpBias = family.MlpBias && (fields.Boolean("mlp_bias") ?? false),
            EmbeddingMultiplier = Multiplier(fields, family, "embedding_multiplier"),
            ResidualMultiplier = Multiplier(fields, family, "residual_multiplier"),
            AttentionMultiplier = family.Has("attention_multiplier") ? Multiplier(fields, family, "attention_multiplier") : null,
            LogitsScaling = Multiplier(fields, family, "logits_scaling"),
            ModelType = family.ModelType,
            BosTokenId = fields.TokenId("bos_token_id", vocab),
            EosTokenIds = fields.TokenIds("eos_token_id", vocab),
            Quantization = ReadQuantization(fields),
        };
        return config.FindProblem(limits) is { } problem ? throw new ModelFormatException(file, problem) : config;
    }

    private static ModelFamily ReadFamily(JsonFields fields)
    {
        var modelType = fields.Text("model_type");
        var family = modelType is null ? null : ModelFamily.Of(modelType);
        if (modelType is not null && family is null)
        {
            var reason = ModelFamily.Others.TryGetValue(modelType, out var other) ? $": {other}" : "";
            throw fields.Error("model_type", $"is {MessageText.Quote(modelType)}{reason}; supported are {Supported()}");
        }

        var architecture = ReadArchitecture(fields);
        return family ?? architecture ?? throw fields.Error("model_type", $"is missing, and so is architectures; supported are {Supported()}");

        static string Supported() => string.Join(", ", ModelFamily.All.Select(family => family.ModelType));
    }

    // An empty list is a tool's way of leaving it out; of several names one must be known.
    private static ModelFamily? ReadArchitecture(JsonFields fields)
    {
        if (fields.Value("architectures") is not { } value)
        {
            return null;
        }

        List<string> names = [];
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var name in value.EnumerateArray())
            {
                Take(name);
            }
        }
        else
        {
            Take(value);
        }

        foreach (var name in names)
        {
            if (ModelFamily.OfArchitecture(name) is { } known)
            {
                return known;
            }
        }

        return names.Count == 0
            ? null
            : throw fields.Error("architectures", $"holds {MessageText.Quote(names[0])}; supported are {string.Join(", ", ModelFamily.All.SelectMany(family => family.Architectures))}");

        void Take(JsonElement name) => names.Add(name.ValueKind == JsonValueKind.String ? name.GetString()!
            : throw fields.Error("architectures", $"is {JsonText.Describe(value)}; expected an array of names"));
    }

    // What the training run or the maker's tool has left in the file decides nothing: the tensors show whether they are quantized. Only weights
    // that were trained to be rounded at every use look plain and are not.
    private static string? ReadQuantization(JsonFields fields)
    {
        foreach (var name in new[] { "quantization_config", "compression_config" })
        {
            if (fields.Object(name) is not { } settings || settings.Element.GetPropertyCount() == 0)
            {
                continue;
            }

            var method = settings.Text("quant_method");
            return method != "bitnet"
                ? MessageText.Quote(method ?? "(no quant_method)")
                : throw settings.Error("quant_method", "is 'bitnet': a model whose weights are rounded in every layer is not computed here");
        }

        return null;
    }

    // The first Llama checkpoints call it max_sequence_length.
    private static int ReadContext(JsonFields fields, LoadLimits limits) =>
        (fields.Has("max_position_embeddings") ? null : fields.Integer("max_sequence_length", 1, limits.MaxContext))
        ?? fields.RequiredInteger("max_position_embeddings", 1, limits.MaxContext);

    private static int DividedHeadDim(JsonFields fields, int hidden, int heads) => hidden % heads == 0
        ? hidden / heads
        : throw fields.Error("num_attention_heads", $"is {heads} and does not divide hidden_size, which is {hidden}; without head_dim it must");

    // Model cards have users add YaRN by hand and leave max_position_embeddings at the original context: then the factor stretches it.
    private static int StretchedContext(int context, RopeScaling? scaling, LoadLimits limits) =>
        scaling is { Kind: RopeScalingKind.Yarn, Factor: > 1 } yarn && context <= yarn.OriginalMaxPositionEmbeddings
            ? (int)Math.Clamp(yarn.Factor * yarn.OriginalMaxPositionEmbeddings, context, limits.MaxContext)
            : context;

    // Granite's; a missing one is 1.
    private static float Multiplier(JsonFields fields, ModelFamily family, string name) =>
        family.Has(name) ? fields.Single(name, float.MinValue, float.MaxValue) ?? 1 : 1;
}
