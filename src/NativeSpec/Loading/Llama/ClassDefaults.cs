using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>What the configuration class of a model type (transformers' <c>LlamaConfig</c> and its like) takes where <c>config.json</c> does not
/// name a field, as the file would name it. The ids that begin and end a text are not among them: there the tokenizer knows better.</summary>
internal static class ClassDefaults
{
    private static readonly JsonElement Llama = Parse("""
        {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
         "max_position_embeddings": 2048, "rms_norm_eps": 1e-6}
        """);

    private static readonly JsonElement Mistral = Parse("""
        {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "sliding_window": 4096}
        """);

    /// <summary>The fields of a model type.</summary>
    public static JsonElement Of(string modelType) => modelType == "mistral" ? Mistral : Llama;

    private static JsonElement Parse(string json) => JsonDocument.Parse(json).RootElement;
}
