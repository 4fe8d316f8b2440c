using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Llama;

/// <summary>The configurations of published checkpoints, in their makers' spellings, and the sizes that follow.</summary>
public sealed class LlamaConfigTests
{
    private const string Llama2 = """
        {"architectures":["LlamaForCausalLM"],"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","hidden_size":4096,"initializer_range":0.02,"intermediate_size":11008,
         "max_position_embeddings":4096,"model_type":"llama","num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":32,"pretraining_tp":1,"rms_norm_eps":1e-05,
         "rope_scaling":null,"tie_word_embeddings":false,"torch_dtype":"float16","transformers_version":"4.31.0.dev0","use_cache":true,"vocab_size":32000}
        """;

    private const string Llama31 = """
        {"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":128000,"eos_token_id":[128001,128008,128009],"hidden_act":"silu",
         "hidden_size":4096,"intermediate_size":14336,"max_position_embeddings":131072,"mlp_bias":false,"model_type":"llama","num_attention_heads":32,"num_hidden_layers":32,
         "num_key_value_heads":8,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
         "original_max_position_embeddings":8192,"rope_type":"llama3"},"rope_theta":500000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":128256}
        """;

    [Test]
    public void Parse_Llama2_HasTheOldDefaults()
    {
        var config = Parse(Llama2);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(config.HeadDim, Is.EqualTo(128));
            Assert.That(config.RopeTheta, Is.EqualTo(10_000));
            Assert.That(config.RopeScaling, Is.Null);
            Assert.That(config.RmsNormEps, Is.EqualTo(1e-5f));
            Assert.That(config.EosTokenIds, Is.EqualTo([2]));
            Assert.That(config.AttentionBias || config.MlpBias || config.TieWordEmbeddings, Is.False);
            Assert.That(config.ParameterCount, Is.EqualTo(6_738_415_616), "the published count");
            Assert.That(config.WeightBytes(DType.BF16), Is.EqualTo(2 * 6_738_415_616));
            Assert.That(config.KvBytesPerToken(DType.F16), Is.EqualTo(524_288));
        }
    }

    [Test]
    public void Parse_Llama31_HasItsRopeAndEosIds()
    {
        var config = Parse(Llama31);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(config.NumKeyValueHeads, Is.EqualTo(8));
            Assert.That(config.RopeTheta, Is.EqualTo(500_000));
            Assert.That(config.RopeScaling, Is.EqualTo(new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxPositionEmbeddings = 8192 }));
            Assert.That(config.BosTokenId, Is.EqualTo(128000));
            Assert.That(config.EosTokenIds, Is.EqualTo([128001, 128008, 128009]));
            Assert.That(config.ParameterCount, Is.EqualTo(8_030_261_248), "the published count");
        }
    }

    [Test]
    public void Parse_Llama32_IsTiedWithItsOwnHeadDim()
    {
        var config = Parse("""
            {"architectures":["LlamaForCausalLM"],"bos_token_id":128000,"eos_token_id":128001,"head_dim":64,"hidden_act":"silu","hidden_size":2048,"intermediate_size":8192,
             "max_position_embeddings":131072,"mlp_bias":false,"model_type":"llama","num_attention_heads":32,"num_hidden_layers":16,"num_key_value_heads":8,"rms_norm_eps":1e-05,
             "rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_type":"llama3"},"rope_theta":500000.0,
             "tie_word_embeddings":true,"vocab_size":128256}
            """);

        Assert.That(config.TieWordEmbeddings, Is.True);
        Assert.That(config.ParameterCount, Is.EqualTo(1_235_814_400), "the published count");
    }

    [Test]
    public void Parse_SmolLM2_HarmlessExtrasAreIgnored()
    {
        var config = Parse("""
            {"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":0,"eos_token_id":0,"hidden_act":"silu","hidden_size":576,"intermediate_size":1536,
             "is_llama_config":true,"max_position_embeddings":8192,"mlp_bias":false,"model_type":"llama","num_attention_heads":9,"num_hidden_layers":30,"num_key_value_heads":3,
             "rms_norm_eps":1e-05,"rope_interleaved":false,"rope_scaling":null,"rope_theta":100000,"tie_word_embeddings":true,"vocab_size":49152}
            """);

        Assert.That(config.ParameterCount, Is.EqualTo(134_515_008), "the published count");
    }

    [Test]
    public void Parse_MistralWithoutWindow_IsAccepted()
    {
        var config = Parse("""
            {"architectures":["MistralForCausalLM"],"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","hidden_size":5120,"head_dim":128,"intermediate_size":14336,
             "max_position_embeddings":131072,"model_type":"mistral","num_attention_heads":32,"num_hidden_layers":40,"num_key_value_heads":8,"rms_norm_eps":1e-05,
             "rope_theta":1000000.0,"sliding_window":null,"tie_word_embeddings":false,"vocab_size":131072}
            """);

        Assert.That((config.ModelType, config.HeadDim, config.HiddenSize), Is.EqualTo(("mistral", 128, 5120)), "head_dim need not divide hidden_size");
    }

    [TestCase("\"sliding_window\":4096", TestName = "Parse_WindowAsLongAsTheContext_IsAccepted")]
    [TestCase("\"sliding_window\":1024,\"use_sliding_window\":false", TestName = "Parse_WindowSwitchedOff_IsAccepted")]
    [TestCase("\"quantization_config\":null,\"num_local_experts\":0,\"pruned_heads\":{},\"partial_rotary_factor\":1.0", TestName = "Parse_VariantsSwitchedOff_AreAccepted")]
    [TestCase("\"layer_types\":[\"full_attention\",\"full_attention\"]", TestName = "Parse_FullAttentionLayers_AreAccepted")]
    [TestCase("\"some_new_key\":{\"deep\":[1,2]},\"pad_token_id\":-1,\"dtype\":\"bfloat16\"", TestName = "Parse_UnknownHarmlessKeys_AreIgnored")]
    [TestCase("\"head_dim\":null,\"attention_bias\":null", TestName = "Parse_NullValues_AreDefaults")]
    public void Parse_HarmlessSettings(string settings) =>
        Assert.That(Parse(Llama2[..Llama2.LastIndexOf('}')] + "," + settings + "}").HeadDim, Is.EqualTo(128));

    [TestCase("""{"factor":4.0,"type":"linear"}""", TestName = "Parse_LinearOldSpelling")]
    [TestCase("""{"factor":4,"rope_type":"linear"}""", TestName = "Parse_LinearNewSpelling")]
    [TestCase("""{"factor":4.0,"type":"linear","rope_type":"linear","partial_rotary_factor":1}""", TestName = "Parse_LinearBothSpellings")]
    public void Parse_LinearRope(string scaling) =>
        Assert.That(Parse(Llama2.Replace("\"rope_scaling\":null", "\"rope_scaling\":" + scaling, StringComparison.Ordinal)).RopeScaling,
            Is.EqualTo(new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4 }));

    [Test]
    public void Parse_Transformers5_RopeParametersHoldThetaAndScaling()
    {
        var old = Parse(Llama31);
        var now = Parse(Llama31.Replace("\"rope_scaling\":{", "\"rope_parameters\":{\"rope_theta\":500000.0,", StringComparison.Ordinal)
            .Replace("\"rope_theta\":500000.0,\"tie", "\"tie", StringComparison.Ordinal).Replace("torch_dtype", "dtype", StringComparison.Ordinal));

        Assert.That((now.RopeTheta, now.RopeScaling), Is.EqualTo((old.RopeTheta, old.RopeScaling)));
    }

    [Test]
    public void Parse_Transformers5_DefaultRopeIsNoScaling()
    {
        var config = Parse(Llama2.Replace("\"rope_scaling\":null", """
            "rope_parameters":{"rope_theta":250000.0,"rope_type":"default"}
            """, StringComparison.Ordinal));

        Assert.That((config.RopeTheta, config.RopeScaling), Is.EqualTo((250_000.0, (RopeScaling?)null)));
    }

    [Test]
    public void Parse_TheFirstLlama_OldNamesAreUnderstood()
    {
        var config = Parse("""
            {"architectures":["LLaMAForCausalLM"],"bos_token_id":0,"eos_token_id":1,"hidden_act":"silu","hidden_size":4096,"intermediate_size":11008,"max_sequence_length":2048,
             "model_type":"llama","num_attention_heads":32,"num_hidden_layers":32,"pad_token_id":-1,"rms_norm_eps":1e-06,"vocab_size":32000}
            """);

        Assert.That((config.MaxPositionEmbeddings, config.NumKeyValueHeads), Is.EqualTo((2048, 32)));
    }

    /// <summary>A window counts where a family's code reads it.</summary>
    [TestCase("llama", "\"sliding_window\":16", "--")]
    [TestCase("granite", "\"sliding_window\":16", "--")]
    [TestCase("mistral", "\"sliding_window\":16", "16 16")]
    [TestCase("mistral", "\"sliding_window\":null", "--")]
    [TestCase("mistral", "", "4096 4096", TestName = "Parse_MistralWithoutTheKey_HasItsClassesWindow")]
    [TestCase("phi3", "\"sliding_window\":2047", "2047 2047")]
    [TestCase("phi3", "", "--")]
    [TestCase("qwen2", "\"sliding_window\":16,\"max_window_layers\":1", "--")]
    [TestCase("qwen2", "\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":1", "- 16")]
    [TestCase("qwen2", "\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":2", "--")]
    [TestCase("qwen2", "\"sliding_window\":16,\"use_sliding_window\":true", "--", TestName = "Parse_Qwen2WithFewLayers_HasNoneFromThe28thOn")]
    [TestCase("qwen2", "\"sliding_window\":null,\"use_sliding_window\":true,\"max_window_layers\":1", "--")]
    [TestCase("qwen3", "\"use_sliding_window\":true,\"max_window_layers\":0", "4096 4096")]
    [TestCase("smollm3", "\"use_sliding_window\":true,\"max_window_layers\":0", "--")]
    [TestCase("smollm3", "\"sliding_window\":16,\"use_sliding_window\":true,\"no_rope_layers\":[1,0,1]", "- 16")]
    [TestCase("smollm3", "\"sliding_window\":16,\"use_sliding_window\":true,\"no_rope_layers\":[1,0],\"layer_types\":[\"sliding_attention\",\"full_attention\"]", "16 -")]
    [TestCase("qwen3", "\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":1,\"layer_types\":[\"sliding_attention\",\"full_attention\"]", "16 -")]
    public void Parse_SlidingWindow_CountsWhereTheFamilyReadsIt(string family, string settings, string expected)
    {
        var config = Family(family, settings);
        Assert.That(
            config.SlidingWindow is null ? "--" : string.Join(" ", Enumerable.Range(0, 2).Select(layer => config.WindowOf(layer) is > 0 and var window ? $"{window}" : "-")),
            Is.EqualTo(expected));
    }

    [TestCase("qwen3", 128, false, 10_000, 1e-6f)]
    [TestCase("qwen2", 2, false, 10_000, 1e-6f)]
    [TestCase("smollm3", 2, true, 2e6, 1e-6f)]
    [TestCase("phi3", 2, false, 10_000, 1e-5f)]
    public void Parse_MissingKeys_AreTheFamilysDefaults(string family, int headDim, bool tied, double theta, float epsilon)
    {
        var config = Family(family, "");
        Assert.That((config.HeadDim, config.TieWordEmbeddings, config.RopeTheta, config.RmsNormEps), Is.EqualTo((headDim, tied, theta, epsilon)));
    }

    [Test]
    public void Parse_Families_HaveWhatNoKeyAnnounces()
    {
        Assert.That(Family("qwen2", "\"attention_bias\":true"), Has.Property(nameof(LlamaConfig.QkvBias)).True.And.Property(nameof(LlamaConfig.AttentionBias)).False);
        Assert.That(Family("qwen3", ""), Has.Property(nameof(LlamaConfig.QkNorm)).True.And.Property(nameof(LlamaConfig.QkvBias)).False);
        Assert.That(Family("smollm3", "\"no_rope_layer_interval\":2").RotatedLayers, Is.EqualTo([true, false]));
        Assert.That(Family("smollm3", "\"no_rope_layers\":[0,1]").RotatedLayers, Is.EqualTo([false, true]), "1 is a layer with rotation");
        Assert.That(Family("granite", ""), Has.Property(nameof(LlamaConfig.AttentionMultiplier)).EqualTo(1f).And.Property(nameof(LlamaConfig.LogitsScaling)).EqualTo(1f));
        Assert.That(Family("phi3", "\"head_dim\":16,\"partial_rotary_factor\":0.75").RotaryDim, Is.EqualTo(12));
        Assert.That(Family("phi3", "\"head_dim\":16,\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}").RotaryDim, Is.EqualTo(8));
    }

    /// <summary>As model cards have it added by hand: the context is the factor times the original.</summary>
    [TestCase(32, 32, 128)]
    [TestCase(128, 32, 128)]
    [TestCase(100, 32, 100)]
    public void Parse_Yarn_StretchesAContextThatTheFileLeftAsItWas(int said, int original, int expected)
    {
        var config = Family("qwen2", $"\"max_position_embeddings\":{said},\"rope_scaling\":{{\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":{original}}}");
        Assert.That(config.MaxPositionEmbeddings, Is.EqualTo(expected));
        Assert.That(config.RopeScaling, Is.EqualTo(new RopeScaling { Kind = RopeScalingKind.Yarn, Factor = 4, OriginalMaxPositionEmbeddings = original }));
    }

    [TestCase("\"original_max_position_embeddings\":8,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1.5],\"long_factor\":[6]}", 4)]
    [TestCase("\"original_max_position_embeddings\":8,\"rope_scaling\":{\"type\":\"su\",\"short_factor\":[1.5],\"long_factor\":[6]}", 4)]
    [TestCase("\"original_max_position_embeddings\":8,\"rope_scaling\":{\"type\":\"yarn\",\"short_factor\":[1.5],\"long_factor\":[6]}", 4)]
    [TestCase("\"rope_parameters\":{\"rope_type\":\"longrope\",\"original_max_position_embeddings\":8,\"factor\":3.0,\"short_factor\":[1.5],\"long_factor\":[6]}", 3)]
    public void Parse_LongRope_HasItsListsAndFactor(string settings, double factor)
        => Assert.That(Family("phi3", settings).RopeScaling, Is.EqualTo(new RopeScaling
        {
            Kind = RopeScalingKind.LongRope,
            Factor = factor,
            OriginalMaxPositionEmbeddings = 8,
            ShortFactors = [1.5],
            LongFactors = [6],
        }));

    [Test]
    public void Validate_ConfigMadeInCode_IsCheckedLikeAFile()
    {
        var good = Small();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => good.Validate(), Throws.Nothing);
            Assert.That(() => (good with { NumKeyValueHeads = 3 }).Validate(), Throws.ArgumentException.With.Message.Contains("num_key_value_heads 3"));
            Assert.That(() => (good with { NumKeyValueHeads = 8 }).Validate(), Throws.ArgumentException.With.Message.Contains("num_key_value_heads 8"));
            Assert.That(() => (good with { HeadDim = 3 }).Validate(), Throws.ArgumentException.With.Message.Contains("head_dim is 3"));
            Assert.That(() => (good with { HeadDim = 0 }).Validate(), Throws.ArgumentException.With.Message.Contains("head_dim is 0"));
            Assert.That(() => (good with { RopeTheta = double.NaN }).Validate(), Throws.ArgumentException.With.Message.Contains("rope_theta is NaN"));
            Assert.That(() => (good with { RmsNormEps = float.NaN }).Validate(), Throws.ArgumentException.With.Message.Contains("rms_norm_eps is NaN"));
            Assert.That(() => (good with { EosTokenIds = [10] }).Validate(), Throws.ArgumentException.With.Message.Contains("eos_token_id is 10"));
            Assert.That(() => (good with { BosTokenId = -1 }).Validate(), Throws.ArgumentException.With.Message.Contains("bos_token_id is -1"));
            Assert.That(() => (good with { RopeScaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = double.NaN } }).Validate(),
                Throws.ArgumentException.With.Message.Contains("rope_scaling.factor is NaN"));
        }
    }

    [Test]
    public void Validate_SizesBeyond64Bits_AreNamed()
    {
        var limits = LoadLimits.Default with { MaxWidth = int.MaxValue, MaxLayers = int.MaxValue, MaxHeads = int.MaxValue, MaxVocabSize = int.MaxValue, MaxContext = int.MaxValue };
        var config = Small() with { NumHiddenLayers = 1 << 20, NumAttentionHeads = 1 << 20, NumKeyValueHeads = 1 << 20, MaxPositionEmbeddings = int.MaxValue };

        Assert.That(() => config.Validate(limits), Throws.ArgumentException.With.Message.Contains("KV cache").And.Message.Contains("1048576 layers"));
        Assert.That(() => (config with { HiddenSize = int.MaxValue, IntermediateSize = int.MaxValue }).Validate(limits), Throws.ArgumentException.With.Message.Contains("weights"));
    }

    /// <summary>The small configuration of another family, without the keys that have defaults.</summary>
    private static LlamaConfig Family(string family, string settings)
    {
        var config = LoadingTestFiles.TinyConfig();
        config["model_type"] = family;
        foreach (var absent in new[] { "architectures", "rope_theta", "tie_word_embeddings", "head_dim", "rms_norm_eps" })
        {
            config.Remove(absent);
        }

        foreach (var (field, value) in JsonNode.Parse("{" + settings + "}")!.AsObject())
        {
            config[field] = value?.DeepClone();
        }

        return Parse(config.ToJsonString());
    }

    private static LlamaConfig Small() => new()
    {
        HiddenSize = 8,
        IntermediateSize = 12,
        NumHiddenLayers = 2,
        NumAttentionHeads = 4,
        NumKeyValueHeads = 2,
        HeadDim = 2,
        VocabSize = 10,
        MaxPositionEmbeddings = 32,
    };

    private static LlamaConfig Parse(string json) => LlamaConfigReader.Parse("config.json", Encoding.UTF8.GetBytes(json), LoadLimits.Default);
}
