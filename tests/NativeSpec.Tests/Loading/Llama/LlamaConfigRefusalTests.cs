using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Tests.Loading.Llama;

/// <summary>Configurations that are wrong, or right for another engine: refused with the member and the value found.</summary>
public sealed class LlamaConfigRefusalTests
{
    [TestCase("hidden_size")]
    [TestCase("intermediate_size")]
    [TestCase("num_hidden_layers")]
    [TestCase("num_attention_heads")]
    [TestCase("vocab_size")]
    [TestCase("max_position_embeddings")]
    [TestCase("rms_norm_eps")]
    public void Parse_NullField_IsRefused(string field) =>
        LoadingTestFiles.Refused(() => Parse(Changed(field, "null")), "config.json", field, "is ", "expected");

    [Test]
    public void Parse_NeitherModelTypeNorArchitecture_IsRefused()
    {
        var config = LoadingTestFiles.TinyConfig();
        config.Remove("model_type");
        config.Remove("architectures");

        LoadingTestFiles.Refused(() => Parse(config), "model_type is missing");
    }

    [Test]
    public void Parse_EverySize_MustBeAWholeNumberInRange([Values("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "head_dim", "vocab_size", "max_position_embeddings")] string field, [Values("0", "-8", "2147483648", "1e300", "8.5", "\"8\"", "99999999999999999999", "[8]", "true")] string value) =>
        LoadingTestFiles.Refused(() => Parse(Changed(field, value)), "config.json", $"{field} is ", "expected a whole number from 1 to");

    // Heads that do not fit.
    [TestCase("num_attention_heads", "3", "does not divide hidden_size")]
    [TestCase("num_key_value_heads", "3", "num_attention_heads is 4 and num_key_value_heads 3")]
    [TestCase("num_key_value_heads", "8", "num_attention_heads is 4 and num_key_value_heads 8")]
    [TestCase("head_dim", "3", "head_dim is 3; expected an even number")]
    [TestCase("head_dim", "262144", "head_dim 262144 is 1048576; expected at most 262144")]
    // Numbers that break the mathematics.
    [TestCase("rope_theta", "0", "rope_theta is 0; expected a finite number of 1 or more")]
    [TestCase("rope_theta", "-10000", "rope_theta is -10000")]
    [TestCase("rope_theta", "1e999", "rope_theta is 1e999; expected a finite number")]
    [TestCase("eos_token_id", "[2,\"x\"]", "eos_token_id holds \"x\"")]
    [TestCase("quantization_config", "{\"quant_method\":\"bitnet\"}", "quantization_config.quant_method is 'bitnet'")]
    [TestCase("quantization_config", "7", "quantization_config is 7; expected an object")]
    [TestCase("architectures", "[\"LlamaForSequenceClassification\",\"BertModel\"]", "architectures holds 'LlamaForSequenceClassification'")]
    [TestCase("architectures", "[7]", "expected an array of names")]
    [TestCase("rope_theta", "\"NaN\"", "rope_theta is \"NaN\"")]
    [TestCase("rms_norm_eps", "0", "rms_norm_eps is 0")]
    [TestCase("rms_norm_eps", "-1e-5", "rms_norm_eps is -1E-05")]
    [TestCase("rms_norm_eps", "1e-60", "rms_norm_eps is 0")]
    [TestCase("rms_norm_eps", "7", "rms_norm_eps is 7")]
    // Token ids.
    [TestCase("tie_word_embeddings", "\"yes\"", "tie_word_embeddings is \"yes\"; expected true or false")]
    // Rotary embeddings of other kinds.
    [TestCase("rope_scaling", "{\"type\":\"dynamic\",\"factor\":2.0}", "rope_scaling.type is 'dynamic'")]
    [TestCase("rope_scaling", "{\"rope_type\":\"proportional\",\"factor\":2.0}", "rope_scaling.rope_type is 'proportional'")]
    [TestCase("rope_scaling", "{\"rope_type\":\"yarn\"}", "rope_scaling.factor is missing")]
    [TestCase("rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":2.0,\"beta_fast\":1}", "rope_scaling.beta_fast is 1; expected a finite number above beta_slow")]
    [TestCase("rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":2.0,\"attention_factor\":-1}", "multiplies queries and keys by -1")]
    [TestCase("rope_scaling", "{\"rope_type\":\"longrope\"}", "rope_scaling.short_factor is missing")]
    [TestCase("rope_scaling", "{\"type\":\"su\",\"short_factor\":[1],\"long_factor\":7}", "rope_scaling.long_factor is 7")]
    [TestCase("rope_scaling", "{\"type\":\"su\",\"short_factor\":[1],\"long_factor\":[\"2\"]}", "rope_scaling.long_factor holds \"2\"")]
    [TestCase("rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[1,2]}", "rope_scaling.long_factor has 2 numbers; expected 1")]
    [TestCase("rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[0],\"long_factor\":[1]}", "rope_scaling.short_factor holds 0")]
    [TestCase("rope_scaling", "{\"type\":\"linear\"}", "rope_scaling.factor is missing")]
    [TestCase("rope_scaling", "{\"type\":\"linear\",\"factor\":0.5}", "rope_scaling.factor is 0.5")]
    [TestCase("rope_scaling", "{\"type\":\"linear\",\"factor\":\"4\"}", "rope_scaling.factor is \"4\"")]
    [TestCase("rope_scaling", "{\"factor\":4}", "rope_scaling.factor is 4, but rope_type")]
    [TestCase("rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}", "rope_scaling.original_max_position_embeddings is missing")]
    [TestCase("rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,\"original_max_position_embeddings\":16}", "rope_scaling.high_freq_factor is 4")]
    [TestCase("rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":0,\"high_freq_factor\":4,\"original_max_position_embeddings\":16}", "rope_scaling.low_freq_factor is 0")]
    [TestCase("rope_scaling", "\"linear\"", "rope_scaling is \"linear\"; expected an object")]
    [TestCase("rope_parameters", "{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}", "rope_parameters.partial_rotary_factor is 0.5")]
    [TestCase("rope_parameters", "{\"full_attention\":{\"rope_theta\":5.0}}", "rope_parameters.full_attention is an object")]
    // Other models.
    [TestCase("model_type", "\"bert\"", "model_type is 'bert'; supported are llama, mistral, qwen2")]
    [TestCase("model_type", "\"gemma2\"", "model_type is 'gemma2': it has norms after its branches")]
    [TestCase("model_type", "\"qwen3_next\"", "gated DeltaNet")]
    [TestCase("model_type", "7", "model_type is 7")]
    [TestCase("architectures", "[\"LlamaForSequenceClassification\"]", "architectures holds 'LlamaForSequenceClassification'")]
    [TestCase("hidden_act", "\"gelu\"", "hidden_act is 'gelu'")]
    [TestCase("hidden_activation", "\"gelu_pytorch_tanh\"", "hidden_activation is 'gelu_pytorch_tanh'")]
    [TestCase("layer_types", "[\"full_attention\",\"sliding_attention\"]", "layer_types holds \"sliding_attention\"")]
    [TestCase("layer_types", "5", "layer_types holds 5")]
    [TestCase("partial_rotary_factor", "0.5", "partial_rotary_factor is 0.5")]
    [TestCase("num_local_experts", "8", "num_local_experts is 8: mixture-of-experts")]
    [TestCase("attn_logit_softcapping", "50.0", "attn_logit_softcapping is 50.0: soft-capped")]
    [TestCase("final_logit_softcapping", "30.0", "final_logit_softcapping is 30.0: soft-capped")]
    [TestCase("use_qk_norm", "true", "use_qk_norm is true: normalised queries")]
    [TestCase("attention_multiplier", "0.0078125", "attention_multiplier is 0.0078125: scaled")]
    [TestCase("residual_multiplier", "0.22", "residual_multiplier is 0.22: scaled")]
    [TestCase("no_rope_layers", "[0,1]", "no_rope_layers is an array of 2: layers")]
    [TestCase("pruned_heads", "{\"0\":[1]}", "pruned_heads is an object: layers")]
    [TestCase("is_encoder_decoder", "true", "is_encoder_decoder is true")]
    public void Parse_Setting_IsRefusedByName(string field, string value, string fact) =>
        LoadingTestFiles.Refused(() => Parse(Changed(field, value)), "config.json", fact);

    [TestCase("mistral", "\"sliding_window\":\"x\"", "sliding_window is \"x\"")]
    [TestCase("mistral", "\"sliding_window\":0", "sliding_window is 0")]
    [TestCase("mistral", "\"layer_types\":[\"sliding_attention\",\"full_attention\"]", "layer_types holds \"sliding_attention\"")]
    [TestCase("mistral", "\"partial_rotary_factor\":0.5", "partial_rotary_factor is 0.5")]
    [TestCase("qwen2", "\"layer_types\":[\"full_attention\"]", "layer_types is an array of 1; expected an array of num_hidden_layers, which is 2")]
    [TestCase("qwen2", "\"layer_types\":[\"full_attention\",\"linear_attention\"]", "layer_types holds \"linear_attention\"")]
    [TestCase("qwen2", "\"sliding_window\":null,\"use_sliding_window\":true,\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "sliding_window is null")]
    [TestCase("smollm3", "\"sliding_window\":16,\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "use_sliding_window is not true")]
    [TestCase("qwen2", "\"residual_multiplier\":0.5", "residual_multiplier is 0.5: scaled")]
    [TestCase("granite", "\"logits_scaling\":0", "logits_scaling is 0; expected a finite number other than 0")]
    [TestCase("granite", "\"embedding_multiplier\":\"12\"", "embedding_multiplier is \"12\"")]
    [TestCase("phi3", "\"partial_rotary_factor\":0.4", "partial_rotary_factor is 0.4 of head_dim 2")]
    [TestCase("smollm3", "\"no_rope_layers\":[1]", "no_rope_layers is an array of 1")]
    [TestCase("smollm3", "\"no_rope_layers\":[1,2]", "no_rope_layers holds 2; expected 1 for a layer with rotation")]
    [TestCase("smollm3", "\"no_rope_layer_interval\":0", "no_rope_layer_interval is 0")]
    public void Parse_SettingOfAFamily_IsRefusedByName(string family, string settings, string fact)
    {
        var config = LoadingTestFiles.TinyConfig();
        config["model_type"] = family;
        config.Remove("architectures");
        foreach (var (field, value) in JsonNode.Parse("{" + settings + "}")!.AsObject())
        {
            config[field] = value?.DeepClone();
        }

        LoadingTestFiles.Refused(() => Parse(config), "config.json", fact);
    }

    [TestCase("{\"hidden_size\":8,\"hidden_size\":8}", "not valid JSON")]
    [TestCase("{\"a\":\"\\ud800\"}", "UTF-16")]
    [TestCase("{\"\\udfff\":1}", "UTF-16")]
    [TestCase("{\"rope_theta\":1NaN}", "not valid JSON")]
    [TestCase("{\"rope_theta\":NaNo}", "not valid JSON")]
    [TestCase("{\"rope_theta\":nan}", "not valid JSON")]
    [TestCase("{NaN:1}", "not valid JSON")]
    [TestCase("[]", "must be a JSON object")]
    [TestCase("3", "must be a JSON object; found 3")]
    [TestCase("", "not valid JSON")]
    public void Parse_NotAConfiguration_IsRefused(string json, string fact) =>
        LoadingTestFiles.Refused(() => LlamaConfigReader.Parse("config.json", Encoding.UTF8.GetBytes(json), LoadLimits.Default), "config.json", fact);

    [Test]
    public void Parse_DepthBomb_IsRefused() =>
        LoadingTestFiles.Refused(() => LlamaConfigReader.Parse("config.json", Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 1_000_000)), LoadLimits.Default), "depth");

    [Test]
    public void Parse_InvalidUtf8_IsRefused() =>
        LoadingTestFiles.Refused(() => LlamaConfigReader.Parse("config.json", [(byte)'{', 0xC0, (byte)'}'], LoadLimits.Default), "UTF-8");

    [Test]
    public void Read_FileAboveTheLimit_IsRefusedBeforeItIsRead()
    {
        using var folder = new TempFolder();
        var path = folder.Write("config.json", new string(' ', 1000));

        LoadingTestFiles.Refused(() => LlamaConfig.Read(path, LoadLimits.Default with { MaxConfigBytes = 999 }), path, "holds 1000 bytes", "at most 999");
    }

    private static JsonObject Changed(string field, string value)
    {
        var config = LoadingTestFiles.TinyConfig();
        config[field] = JsonNode.Parse(value);
        return config;
    }

    private static LlamaConfig Parse(JsonObject config) => LlamaConfigReader.Parse("config.json", Encoding.UTF8.GetBytes(config.ToJsonString()), LoadLimits.Default);
}
