using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Tests.Loading.Llama;

/// <summary>Configurations as tools and people leave them: read as transformers reads them, with a note where something is left aside.</summary>
public sealed class LlamaConfigToleranceTests
{
    private const string Whole = """
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,
         "num_key_value_heads":2,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,"rope_theta":10000.0
        """;

    private readonly List<string> _notes = [];

    [SetUp]
    public void ForgetNotes() => _notes.Clear();

    [Test]
    public void Parse_LlamaWithNothingButItsType_HasLlamaConfigsDefaults()
    {
        var config = Parse("""{"model_type":"llama"}""");

        Assert.That((config.VocabSize, config.HiddenSize, config.IntermediateSize, config.NumHiddenLayers), Is.EqualTo((32_000, 4096, 11_008, 32)));
        Assert.That((config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, config.MaxPositionEmbeddings), Is.EqualTo((32, 32, 128, 2048)));
        Assert.That((config.RmsNormEps, config.RopeTheta, config.TieWordEmbeddings), Is.EqualTo((1e-6f, 10_000.0, false)));
        Assert.That(config.EosTokenIds, Is.Empty, "the tokenizer knows better");
        Assert.That(_notes, Has.One.Contains("hidden_size (4096)"));
    }

    [Test]
    public void Parse_MistralWithoutHeadsOfKeys_HasMistralConfigsDefault()
    {
        const string Shape = """{"model_type":"mistral","sliding_window":null,"max_position_embeddings":64""";

        Assert.That(Parse(Shape + "}").NumKeyValueHeads, Is.EqualTo(8), "absent");
        Assert.That(Parse(Shape + ""","num_key_value_heads":null}""").NumKeyValueHeads, Is.EqualTo(32), "null is another thing: as many as query heads");
        Assert.That(Parse(Shape + "}").IntermediateSize, Is.EqualTo(14_336));
    }

    [TestCase("\"hidden_act\":\"swish\"")]
    [TestCase("\"hidden_act\":\"silu\"")]
    [TestCase("\"router_aux\":Infinity,\"x\":[-Infinity,{\"y\":NaN}],\"z\":NaN")]
    [TestCase("\"text\":\"NaN, Infinity \\\" : NaN \",\"more\": NaN")]
    [TestCase("\"use_cache\":true,\"pretraining_tp\":2,\"auto_map\":{\"a\":\"b\"}")]
    [TestCase("\"rope_scaling\":{\"rope_type\":\"default\",\"factor\":8.0}")]
    [TestCase("\"rope_scaling\":{\"rope_type\":\"default\",\"long_factor\":[1.0],\"attention_factor\":null}")]
    [TestCase("\"rope_parameters\":{\"original_max_position_embeddings\":32}")]
    [TestCase("\"rope_scaling\":{}")]
    [TestCase("\"rope_scaling\":{\"factor\":1.0}")]
    public void Parse_WhatChangesNothing_ChangesNothing(string members)
    {
        var plain = Parse(Whole + "}");
        Assert.That(_notes, Is.Empty);

        Assert.That(Parse($"{Whole},{members}}}") with { EosTokenIds = plain.EosTokenIds }, Is.EqualTo(plain));
    }

    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("\"LlamaForCausalLM\"")]
    [TestCase("[\"MyLlama\",\"LlamaForCausalLM\"]")]
    public void Parse_Architectures_MayBeEmptyOrMany(string names) =>
        Assert.That(Parse(Whole.Replace("[\"LlamaForCausalLM\"]", names, StringComparison.Ordinal) + "}").ModelType, Is.EqualTo("llama"));

    [Test]
    public void Parse_ByteOrderMark_IsSkipped() => Assert.That(Parse("\uFEFF" + Whole + "}").HiddenSize, Is.EqualTo(8));

    [Test]
    public void Parse_WholeNumbersWithAPoint_AreWhole() =>
        Assert.That(Parse(Whole.Replace("\"hidden_size\":8", "\"hidden_size\":8.0", StringComparison.Ordinal) + "}").HiddenSize, Is.EqualTo(8));

    [TestCase("\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4,\"original_max_position_embeddings\":32,\"mscale\":1}", 2)]
    [TestCase("\"rope_scaling\":{\"rope_type\":\"linear\",\"type\":\"yarn\",\"factor\":4}", 1)]
    [TestCase("\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4},\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000.0}", 1)]
    public void Parse_LinearRopeWithMoreThanItNeeds_IsLinearAndNoted(string members, int notes)
    {
        Assert.That(Parse($"{Whole},{members}}}").RopeScaling, Is.EqualTo(new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4 }));
        Assert.That(_notes, Has.Count.EqualTo(notes));
    }

    [TestCase("\"original_max_position_embeddings\":16.0,", "")]
    [TestCase("\"original_max_position_embeddings\":16,\"type\":\"default\",", "")]
    [TestCase("", ",\"original_max_position_embeddings\":16")]
    public void Parse_Llama3RopeInItsSpellings_IsTheSame(string inside, string outside)
    {
        var rope = $$""","rope_scaling":{{{inside}}"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"rope_type":"llama3"}{{outside}}}""";

        Assert.That(Parse(Whole + rope).RopeScaling,
            Is.EqualTo(new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxPositionEmbeddings = 16 }));
    }

    [TestCase("\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0}", 500_000, 1)]
    [TestCase("\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500000.0}", 500_000, 1)]
    [TestCase("\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000.0}", 10_000, 0)]
    [TestCase("\"rope_parameters\":{\"rope_type\":\"default\"}", 10_000, 0)]
    public void Parse_ThetaInsideOfTheRopesSettings_ComesBeforeAStaleOneOutside(string members, double theta, int notes)
    {
        Assert.That(Parse($"{Whole},{members}}}").RopeTheta, Is.EqualTo(theta));
        Assert.That(_notes, Has.Count.EqualTo(notes));
    }

    [TestCase("\"eos_token_id\":128009", "")]
    [TestCase("\"eos_token_id\":[2,10,-1]", "2")]
    [TestCase("\"eos_token_id\":3,\"bos_token_id\":10", "3")]
    public void Parse_TokensOutsideTheVocabulary_AreLeftOutWithANote(string members, string kept)
    {
        var config = Parse($"{Whole},{members}}}");

        Assert.That(string.Join(' ', config.EosTokenIds), Is.EqualTo(kept));
        Assert.That(config.BosTokenId, Is.Null);
        Assert.That(_notes, Has.One.Contains("outside the vocabulary of 10"));
    }

    private LlamaConfig Parse(string json) => LlamaConfigReader.Parse("config.json", Encoding.UTF8.GetBytes(json), LoadLimits.Default, _notes);
}
