using System.Text;
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
