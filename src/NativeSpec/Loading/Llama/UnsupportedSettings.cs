using System.Text.Json;

namespace NativeSpec.Loading.Llama;

/// <summary>Settings of other architectures and of later variants that change the computation. One that is switched on is refused with
/// its value, because a model that runs without it writes plausible nonsense.</summary>
internal static class UnsupportedSettings
{
    private const string Experts = "mixture-of-experts layers are not supported";
    private const string SoftCap = "soft-capped scores are not supported";
    private const string Norms = "normalised queries and keys are not supported";
    private const string Rotary = "partial or interleaved rotary embeddings are not supported";
    private const string Multipliers = "scaled embeddings, residuals or logits are not supported";
    private const string Attention = "this kind of attention is not supported";
    private const string Layers = "layers that differ from each other are not supported";
    private const string Blocks = "this arrangement of a layer is not supported";

    // Harmless when absent, null, false, 0 or empty.
    private static readonly (string Name, string Reason)[] MustBeOff =
    [
        ("num_local_experts", Experts), ("num_experts", Experts), ("n_routed_experts", Experts), ("num_experts_per_tok", Experts),
        ("moe_intermediate_size", Experts),
        ("attn_logit_softcapping", SoftCap), ("final_logit_softcapping", SoftCap), ("logit_softcapping", SoftCap), ("attn_logit_softcap", SoftCap),
        ("qk_norm", Norms), ("use_qk_norm", Norms), ("qk_layernorm", Norms), ("clip_qkv", Norms),
        ("rope_interleaved", Rotary), ("rope_interleave", Rotary), ("interleaved_rope", Rotary),
        ("scale_emb", Multipliers), ("scale_depth", Multipliers), ("dim_model_base", Multipliers), ("query_pre_attn_scalar", Multipliers),
        ("attention_chunk_size", Attention), ("attn_temperature_tuning", Attention), ("kv_lora_rank", Attention), ("q_lora_rank", Attention),
        ("attention_sink_size", Attention), ("alibi", Attention), ("use_alibi", Attention), ("is_encoder_decoder", Attention),
        ("add_cross_attention", Attention), ("pruned_heads", Layers), ("block_configs", Layers), ("num_key_value_heads_per_layer", Layers),
        ("no_rope_layers", Layers), ("no_rope_layer_interval", Layers),
        ("parallel_attn", Blocks), ("use_parallel_residual", Blocks), ("parallel_residual", Blocks),
    ];

    // Harmless when absent, null or 1.
    private static readonly (string Name, string Reason)[] MustBeOne =
    [
        ("partial_rotary_factor", Rotary), ("rotary_pct", Rotary), ("rotary_percent", Rotary),
        ("embedding_multiplier", Multipliers), ("residual_multiplier", Multipliers), ("logits_scaling", Multipliers), ("logit_scale", Multipliers),
    ];

    /// <summary>Refuses the first setting that is on and that the family does not have.</summary>
    public static void Refuse(JsonFields config, ModelFamily family)
    {
        foreach (var (name, reason) in MustBeOff)
        {
            if (!family.Has(name) && config.Value(name) is { } value && !IsOff(value))
            {
                throw config.Error(name, $"is {JsonText.Describe(value)}: {reason}");
            }
        }

        foreach (var (name, reason) in MustBeOne)
        {
            if (!family.Has(name) && config.Value(name) is { } value && !(value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number == 1))
            {
                throw config.Error(name, $"is {JsonText.Describe(value)}: {reason}");
            }
        }

        RefuseActivation(config, "hidden_act");
        RefuseActivation(config, "hidden_activation");
        if (!family.Has("layer_types"))
        {
            RefuseLayerTypes(config);
        }

        if (!family.Has("attention_multiplier"))
        {
            RefuseAttentionMultiplier(config);
        }
    }

    private static void RefuseActivation(JsonFields config, string name)
    {
        if (config.Text(name) is { } activation && activation is not ("silu" or "swish"))
        {
            throw config.Error(name, $"is {MessageText.Quote(activation)}; only 'silu' is supported");
        }
    }

    private static void RefuseLayerTypes(JsonFields config)
    {
        if (config.Value("layer_types") is not { } types)
        {
            return;
        }

        var other = types.ValueKind != JsonValueKind.Array ? types
            : types.EnumerateArray().FirstOrDefault(type => type.ValueKind != JsonValueKind.String || type.GetString() != "full_attention");
        if (other.ValueKind != JsonValueKind.Undefined)
        {
            throw config.Error("layer_types", $"holds {JsonText.Describe(other)}; only full_attention layers are supported");
        }
    }

    // Granite's replacement for 1 / sqrt(head_dim): no value of it is harmless.
    private static void RefuseAttentionMultiplier(JsonFields config)
    {
        if (config.Value("attention_multiplier") is { } value)
        {
            throw config.Error("attention_multiplier", $"is {JsonText.Describe(value)}: {Multipliers}");
        }
    }

    private static bool IsOff(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False => true,
        JsonValueKind.Number => value.TryGetDouble(out var number) && number == 0,
        JsonValueKind.String => value.GetString()!.Length == 0,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().MoveNext(),
        _ => false,
    };
}
