using System.Text;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Tests.Loading.Llama;

public sealed class GenerationConfigTests
{
    [Test]
    public void Parse_AllFields_AreRead()
    {
        var config = Parse("""
            {"bos_token_id":1,"eos_token_id":[9,2,9],"pad_token_id":-1,"do_sample":true,"temperature":0.6,"top_k":50,"top_p":0.9,"min_p":0.05,
             "repetition_penalty":1.1,"max_new_tokens":2048,"max_length":4096,"transformers_version":"4.43.0"}
            """);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(config.BosTokenId, Is.EqualTo(1));
            Assert.That(config.EosTokenIds, Is.EqualTo([2, 9]));
            Assert.That(config.DoSample, Is.True);
            Assert.That(config.Temperature, Is.EqualTo(0.6f));
            Assert.That(config.TopK, Is.EqualTo(50));
            Assert.That(config.TopP, Is.EqualTo(0.9f));
            Assert.That(config.MinP, Is.EqualTo(0.05f));
            Assert.That(config.RepetitionPenalty, Is.EqualTo(1.1f));
            Assert.That(config.MaxNewTokens, Is.EqualTo(2048));
        }
    }

    [TestCase("{}")]
    [TestCase("""{"eos_token_id":null,"bos_token_id":null,"temperature":null,"top_k":null,"do_sample":null}""")]
    public void Parse_AbsentOrNull_IsNothing(string json)
    {
        var config = Parse(json);

        Assert.That(config.EosTokenIds, Is.Empty);
        Assert.That(config with { EosTokenIds = [] }, Is.EqualTo(new GenerationConfig { EosTokenIds = [] }));
    }

    [TestCase("eos_token_id", "10", "from 0 to 9")]
    [TestCase("eos_token_id", "-1", "from 0 to 9")]
    [TestCase("eos_token_id", "[1,10]", "holds 10")]
    [TestCase("eos_token_id", "[1,[2]]", "an array of 1")]
    [TestCase("eos_token_id", "\"</s>\"", "</s>")]
    [TestCase("eos_token_id", "1.5", "1.5")]
    [TestCase("bos_token_id", "4294967297", "4294967297")]
    [TestCase("temperature", "-0.5", "-0.5")]
    [TestCase("temperature", "1e999", "1e999")]
    [TestCase("temperature", "1e300", "1e300")]
    [TestCase("temperature", "\"hot\"", "hot")]
    [TestCase("top_k", "-1", "-1")]
    [TestCase("top_p", "1.5", "from 0 to 1")]
    [TestCase("min_p", "-0.1", "from 0 to 1")]
    [TestCase("repetition_penalty", "0", "is 0")]
    [TestCase("max_new_tokens", "0", "is 0")]
    [TestCase("do_sample", "1", "true or false")]
    public void Parse_BadValue_IsRefused(string field, string value, string fact) =>
        LoadingTestFiles.Refused(() => Parse($$"""{"{{field}}":{{value}}}"""), "generation_config.json", field, fact);

    private static GenerationConfig Parse(string json) => GenerationConfig.Parse("generation_config.json", Encoding.UTF8.GetBytes(json), 10);
}
