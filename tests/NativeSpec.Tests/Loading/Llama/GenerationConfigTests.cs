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

    [TestCase("eos_token_id", "[1,[2]]", "an array of 1")]
    [TestCase("eos_token_id", "\"</s>\"", "</s>")]
    [TestCase("eos_token_id", "1.5", "1.5")]
    [TestCase("temperature", "-0.5", "-0.5")]
    [TestCase("temperature", "1e999", "1e999")]
    [TestCase("temperature", "1e300", "1e300")]
    [TestCase("temperature", "NaN", "is NaN")]
    [TestCase("temperature", "-Infinity", "is -Infinity")]
    [TestCase("temperature", "\"hot\"", "hot")]
    [TestCase("top_k", "-1", "-1")]
    [TestCase("top_k", "1.5", "1.5")]
    [TestCase("top_p", "-0.5", "is -0.5")]
    [TestCase("min_p", "-0.1", "from 0 to 1")]
    [TestCase("repetition_penalty", "0", "is 0")]
    [TestCase("eos_token_id", "NaN", "is NaN")]
    public void Parse_BadValue_IsRefused(string field, string value, string fact) =>
        LoadingTestFiles.Refused(() => Parse($$"""{"do_sample":true,"{{field}}":{{value}}}"""), "generation_config.json", field, fact);

    [Test]
    public void Parse_DoSampleThatIsNoTruthValue_IsRefused() =>
        LoadingTestFiles.Refused(() => Parse("""{"do_sample":1}"""), "generation_config.json", "do_sample", "true or false");

    // What transformers' generate makes of them: 0 keeps one token, 1 and more cut nothing off, and a whole number may be written 50.0.
    [TestCase("top_p", "0.0", 0f)]
    [TestCase("top_p", "1.0", 1f)]
    [TestCase("top_p", "1.5", 1f)]
    [TestCase("top_k", "50.0", 50f)]
    [TestCase("top_k", "0", 0f)]
    [TestCase("temperature", "1", 1f)]
    public void Parse_ValueAtTheEdge_MeansWhatItMeansThere(string field, string value, float expected)
    {
        var config = Parse($$"""{"do_sample":true,"{{field}}":{{value}}}""");

        Assert.That(config.TopP ?? config.Temperature ?? config.TopK, Is.EqualTo(expected));
    }

    [TestCase("\"do_sample\":false")]
    [TestCase("\"do_sample\":null")]
    [TestCase("\"pad_token_id\":0")]
    public void Parse_SamplingValuesThatAreNotUsed_AreLeftAside(string sampling)
    {
        List<string> notes = [];

        var config = Parse($$"""{{{sampling}},"temperature":-1.0,"top_k":-1,"top_p":NaN,"min_p":7,"repetition_penalty":1.2}""", notes);

        Assert.That((config.Temperature, config.TopK, config.TopP, config.MinP, config.RepetitionPenalty), Is.EqualTo(((float?)null, (int?)null, (float?)null, (float?)null, 1.2f)));
        Assert.That(notes, Has.Count.EqualTo(4));
    }

    [TestCase("10", "")]
    [TestCase("-1", "")]
    [TestCase("4294967297", "")]
    [TestCase("[1,10,11]", "1")]
    [TestCase("[9,128009,2,9]", "2 9")]
    [TestCase("[2.0]", "2")]
    public void Parse_EndsOutsideTheVocabulary_AreLeftOutWithANote(string ids, string kept)
    {
        List<string> notes = [];

        var config = Parse($$"""{"eos_token_id":{{ids}}}""", notes);

        Assert.That(string.Join(' ', config.EosTokenIds), Is.EqualTo(kept));
        Assert.That(notes, ids == "[2.0]" ? Is.Empty : Has.One.Contains("eos_token_id names the token"));
    }

    [Test]
    public void Parse_BeginOutsideTheVocabulary_IsLeftOutWithANote()
    {
        List<string> notes = [];

        Assert.That(Parse("""{"bos_token_id":128000}""", notes).BosTokenId, Is.Null);
        Assert.That(notes, Has.One.Contains("128000"));
    }

    [TestCase("\"num_beams\":4", "num_beams")]
    [TestCase("\"no_repeat_ngram_size\":3", "no_repeat_ngram_size")]
    [TestCase("\"typical_p\":0.9", "typical_p")]
    [TestCase("\"suppress_tokens\":[1]", "suppress_tokens")]
    [TestCase("\"num_beams\":1,\"no_repeat_ngram_size\":0,\"typical_p\":1.0,\"suppress_tokens\":null,\"max_new_tokens\":0,\"num_beam_groups\":1", null)]
    public void Parse_WhatIsNotDoneHere_IsNoted(string settings, string? noted)
    {
        List<string> notes = [];

        Parse($$"""{{{settings}}}""", notes);

        Assert.That(notes, noted is null ? Is.Empty : Has.One.Contains(noted));
    }

    private static GenerationConfig Parse(string json, List<string>? notes = null) =>
        GenerationConfig.Parse("generation_config.json", Encoding.UTF8.GetBytes(json), 10, notes);
}
