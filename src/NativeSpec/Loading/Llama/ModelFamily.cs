using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Which of a family's layers attend to a window alone.</summary>
internal enum WindowRule
{
    /// <summary>None: a window in the file is not read.</summary>
    None,

    /// <summary>All, where the file has a window.</summary>
    AllLayers,

    /// <summary>Where <c>use_sliding_window</c> is true: those that <c>layer_types</c> names, or else the layers from <c>max_window_layers</c> on.</summary>
    LaterLayers,

    /// <summary>Where <c>use_sliding_window</c> is true: those that <c>layer_types</c> names, or else the layers without rotation.</summary>
    UnrotatedLayers,
}

/// <summary>What a <c>model_type</c> says of a model without a key for it, and what its keys mean when they are missing: the defaults of the
/// configuration classes of huggingface/transformers. The forward is one for all of them.</summary>
internal sealed record ModelFamily(string ModelType, params string[] Architectures)
{
    private const string Llama = """
        {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
         "max_position_embeddings": 2048, "rms_norm_eps": 1e-6}
        """;

    private const string Qwen = """
        {"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 32, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6}
        """;

    private static readonly string[] Multipliers = ["embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier"];

    /// <summary>All that this engine computes.</summary>
    public static IReadOnlyList<ModelFamily> All { get; } =
    [
        // The second name is how the first Llama checkpoints (and Vicuna made from them) spell it.
        new("llama", "LlamaForCausalLM", "LLaMAForCausalLM") { AttentionBias = true, MlpBias = true, Defaults = Json(Llama) },
        new("mistral", "MistralForCausalLM")
        {
            Window = WindowRule.AllLayers, MissingWindow = 4096, Defaults = Json("""
                {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
                 "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6}
                """),
        },
        new("qwen2", "Qwen2ForCausalLM")
        {
            QkvBias = true, Window = WindowRule.LaterLayers, MissingWindow = 4096, Own = ["layer_types"], Defaults = Json(Qwen),
        },
        new("qwen3", "Qwen3ForCausalLM")
        {
            AttentionBias = true, QkNorm = true, HeadDim = 128, Window = WindowRule.LaterLayers, MissingWindow = 4096, Own = ["layer_types"], Defaults = Json(Qwen),
        },
        new("granite", "GraniteForCausalLM") { AttentionBias = true, MlpBias = true, Own = Multipliers, Defaults = Json(Llama) },
        new("phi3", "Phi3ForCausalLM")
        {
            Window = WindowRule.AllLayers, Own = ["partial_rotary_factor"], Defaults = Json("""
                {"vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32,
                 "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
                """),
        },
        new("smollm3", "SmolLM3ForCausalLM")
        {
            AttentionBias = true, MlpBias = true, TieWordEmbeddings = true, RopeTheta = 2e6, Window = WindowRule.UnrotatedLayers,
            Own = ["layer_types", "no_rope_layers", "no_rope_layer_interval"], Defaults = Json("""
                {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
                 "num_key_value_heads": 4, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6}
                """),
        },
    ];

    /// <summary>Families that differ in more than a parameter, and in what.</summary>
    public static IReadOnlyDictionary<string, string> Others { get; } = new Dictionary<string, string>
    {
        ["gemma"] = "its norms multiply by 1 + weight and its feed-forward layers use GELU",
        ["gemma2"] = "it has norms after its branches, soft-capped scores and GELU",
        ["gemma3"] = "it has norms after its branches, two rotation bases and GELU",
        ["gemma3_text"] = "it has norms after its branches, two rotation bases and GELU",
        ["olmo2"] = "its norms stand after its branches, not before them",
        ["olmo3"] = "its norms stand after its branches, not before them",
        ["mixtral"] = "mixture-of-experts layers are not supported",
        ["qwen2_moe"] = "mixture-of-experts layers are not supported",
        ["qwen3_moe"] = "mixture-of-experts layers are not supported",
        ["granitemoe"] = "mixture-of-experts layers are not supported",
        ["phimoe"] = "mixture-of-experts layers are not supported",
        ["gpt_oss"] = "mixture-of-experts layers are not supported",
        ["deepseek_v2"] = "latent attention and mixture-of-experts layers are not supported",
        ["deepseek_v3"] = "latent attention and mixture-of-experts layers are not supported",
        ["qwen3_next"] = "gated DeltaNet layers are not supported",
        ["qwen3_5"] = "gated DeltaNet layers are not supported",
        ["phi"] = "its attention and feed-forward layers run side by side",
        ["cohere"] = "its attention and feed-forward layers run side by side",
    };

    /// <summary>Keys that other families must not have switched on, and that mean something here.</summary>
    public string[] Own { get; init; } = [];

    /// <summary>Whether <c>attention_bias</c> is read: biases of all four projections.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether <c>mlp_bias</c> is read.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether q, k and v have biases that no key announces.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether each head of q and k is normed.</summary>
    public bool QkNorm { get; init; }

    /// <summary>Which layers have the window.</summary>
    public WindowRule Window { get; init; }

    /// <summary>The window where the file has no key for it; one that is null is off.</summary>
    public int? MissingWindow { get; init; }

    /// <summary>Whether the output is tied where the file does not say.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>The width of a head where the file does not say; null for hidden_size / num_attention_heads.</summary>
    public int? HeadDim { get; init; }

    /// <summary>What the file would say of the model's sizes and norms where it does not name them. The ids that begin and end a text are not
    /// among them: there the tokenizer knows better.</summary>
    public required JsonElement Defaults { get; init; }

    /// <summary>The base of the rotation where the file does not say.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>Whether a key means something here that other families must not have.</summary>
    public bool Has(string key) => Own.Contains(key);

    /// <summary>The family of a model type; null where it is none of these.</summary>
    public static ModelFamily? Of(string modelType) => All.FirstOrDefault(family => family.ModelType == modelType);

    /// <summary>The family of an architecture's name; null where it is none of these.</summary>
    public static ModelFamily? OfArchitecture(string name) => All.FirstOrDefault(family => family.Architectures.Contains(name));

    private static JsonElement Json(string json) => JsonDocument.Parse(json).RootElement;
}
