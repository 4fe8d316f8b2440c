using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Reads <c>config.json</c>. Old and new spellings are understood; what would change the computation and is not done here is
/// refused by name (see <see cref="UnsupportedSettings"/>); everything else is ignored.</summary>
internal static class LlamaConfigReader
{
    private static readonly string[] ModelTypes = ["llama", "mistral"];

    // The second is how the first Llama checkpoints (and Vicuna made from them) spell it.
    private static readonly string[] Architectures = ["LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM"];

    public static LlamaConfig Parse(string file, byte[] json, LoadLimits limits, List<string>? notes = null)
    {
        using var document = JsonText.ParseObject(file, json);
        var fields = new JsonFields(file, document.RootElement, notes);
        var modelType = ReadModelType(fields);
        fields = fields.WithDefaults(ClassDefaults.Of(modelType));
        fields.NoteDefaults();
        UnsupportedSettings.Refuse(fields);

        var hidden = fields.RequiredInteger("hidden_size", 1, limits.MaxWidth);
        var heads = fields.RequiredInteger("num_attention_heads", 1, limits.MaxHeads);
        var vocab = fields.RequiredInteger("vocab_size", 1, limits.MaxVocabSize);
        var context = ReadContext(fields, limits);
        CheckSlidingWindow(fields, context);
        var (theta, scaling) = RopeReader.Read(fields);
        var config = new LlamaConfig
        {
            HiddenSize = hidden,
            IntermediateSize = fields.RequiredInteger("intermediate_size", 1, limits.MaxWidth),
            NumHiddenLayers = fields.RequiredInteger("num_hidden_layers", 1, limits.MaxLayers),
            NumAttentionHeads = heads,
            NumKeyValueHeads = fields.Integer("num_key_value_heads", 1, limits.MaxHeads) ?? heads,
            HeadDim = fields.Integer("head_dim", 1, limits.MaxWidth) ?? DividedHeadDim(fields, hidden, heads),
            VocabSize = vocab,
            MaxPositionEmbeddings = context,
            RmsNormEps = (float)(fields.Number("rms_norm_eps") ?? throw fields.Error("rms_norm_eps", "is null; expected a number above 0")),
            RopeTheta = theta,
            RopeScaling = scaling,
            TieWordEmbeddings = fields.Boolean("tie_word_embeddings") ?? false,
            AttentionBias = fields.Boolean("attention_bias") ?? false,
            MlpBias = fields.Boolean("mlp_bias") ?? false,
            ModelType = modelType,
            BosTokenId = fields.TokenId("bos_token_id", vocab),
            EosTokenIds = fields.TokenIds("eos_token_id", vocab),
            Quantization = ReadQuantization(fields),
        };
        return config.FindProblem(limits) is { } problem ? throw new ModelFormatException(file, problem) : config;
    }

    private static string ReadModelType(JsonFields fields)
    {
        var modelType = fields.Text("model_type");
        if (modelType is not null && !ModelTypes.Contains(modelType))
        {
            throw fields.Error("model_type", $"is {MessageText.Quote(modelType)}; supported are {string.Join(" and ", ModelTypes)}");
        }

        var architecture = ReadArchitecture(fields);
        if (modelType is null && architecture is null)
        {
            throw fields.Error("model_type", $"is missing, and so is architectures; supported are {string.Join(" and ", ModelTypes)}");
        }

        return modelType ?? (architecture == "MistralForCausalLM" ? "mistral" : "llama");
    }

    // An empty list is a tool's way of leaving it out; of several names one must be known.
    private static string? ReadArchitecture(JsonFields fields)
    {
        if (fields.Value("architectures") is not { } value)
        {
            return null;
        }

        JsonElement[] names = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        if (names.Any(name => name.ValueKind != JsonValueKind.String))
        {
            throw fields.Error("architectures", $"is {JsonText.Describe(value)}; expected an array of names");
        }

        var known = names.Select(name => name.GetString()).FirstOrDefault(name => Architectures.Contains(name));
        return known is not null || names.Length == 0
            ? known
            : throw fields.Error("architectures", $"holds {MessageText.Quote(names[0].GetString()!)}; supported are {string.Join(", ", Architectures)}");
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

    // A window that is never shorter than the context changes nothing.
    private static void CheckSlidingWindow(JsonFields fields, int context)
    {
        if (fields.Boolean("use_sliding_window") != false && fields.Integer("sliding_window") is { } window && window < context)
        {
            throw fields.Error("sliding_window", $"is {window}, shorter than max_position_embeddings, which is {context}: "
                + $"sliding-window attention is not supported; to use the model within its window, set max_position_embeddings to {window}");
        }
    }
}
