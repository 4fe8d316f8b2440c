using System.Net;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Chat;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Speculation;

namespace NativeSpec.Server.Tests;

/// <summary>What <c>/v1/chat/completions</c> answers, against what the engine itself writes.</summary>
public sealed class ChatEndpointTests
{
    private TestServer _server = null!;

    [OneTimeSetUp]
    public async Task Start() => _server = await TestServer.StartTinyAsync();

    [OneTimeTearDown]
    public async Task Stop() => await _server.DisposeAsync();

    [TestCase("auto", 0f)]
    [TestCase("off", 0f)]
    [TestCase("auto", 0.9f)]
    [TestCase("off", 0.9f)]
    public async Task ARequest_ByHttp_ByChatClient_AndByEngine_HasTheSameTokens(string speculation, float temperature)
    {
        var answer = await _server.ChatAsync($$""","temperature":{{temperature}},"top_p":0.95,"seed":7,"max_tokens":40,"speculation":"{{speculation}}","return_token_ids":true""");
        var expected = await _server.Engine.CompleteChatAsync(
            [new ChatTurn("user", "hello in the")],
            new GenerationOptions { Temperature = temperature, TopP = 0.95f, Seed = 7, MaxTokens = 40, Speculation = SpeculationOptions.Off });
        using var client = new NativeSpecChatClient(_server.Engine);
        var response = await client.GetResponseAsync("hello in the", new ChatOptions
        {
            Temperature = temperature,
            TopP = 0.95f,
            Seed = 7,
            MaxOutputTokens = 40,
            RawRepresentationFactory = _ => new GenerationOptions { Speculation = speculation == "off" ? SpeculationOptions.Off : SpeculationOptions.Auto },
        });

        Assert.Multiple(() =>
        {
            Assert.That(answer.Status, Is.EqualTo(HttpStatusCode.OK), answer.Text);
            Assert.That(answer.Ids, Is.EqualTo(expected.Ids));
            Assert.That(answer.Content, Is.EqualTo(expected.Text));
            Assert.That((response.RawRepresentation as GenerationResult)?.Ids, Is.EqualTo(expected.Ids));
            Assert.That(answer.Json.GetProperty("timings").TryGetProperty("draft_n", out _), Is.EqualTo(speculation == "auto"), "only with speculation");
        });
    }

    [Test]
    public async Task AnAnswer_HasWhatClientsRead()
    {
        var answer = await _server.ChatAsync("");
        var (json, usage) = (answer.Json, answer.Json.GetProperty("usage"));

        Assert.Multiple(() =>
        {
            Assert.That(json.GetProperty("object").GetString(), Is.EqualTo("chat.completion"));
            Assert.That(json.GetProperty("created").TryGetInt64(out _), "a whole number");
            Assert.That(json.GetProperty("model").GetString(), Is.EqualTo("tiny"));
            Assert.That(answer.Choice.GetProperty("message").GetProperty("role").GetString(), Is.EqualTo("assistant"));
            Assert.That(answer.Choice.GetProperty("finish_reason").GetString(), Is.EqualTo("length"));
            Assert.That(usage.GetProperty("completion_tokens").GetInt32(), Is.EqualTo(12));
            Assert.That(usage.GetProperty("total_tokens").GetInt32(), Is.EqualTo(12 + usage.GetProperty("prompt_tokens").GetInt32()));
            Assert.That(json.GetProperty("timings").GetProperty("predicted_n").GetInt32(), Is.EqualTo(12));
        });
    }

    [Test]
    public async Task AStream_HasARoleFirst_OneFinish_UsageWhereAsked_AndTheTextOfTheWhole()
    {
        var whole = await _server.ChatAsync(""","max_tokens":40,"return_token_ids":true""");
        var stream = await _server.ChatAsync(""","max_tokens":40,"stream":true,"stream_options":{"include_usage":true}""");
        var silent = await _server.ChatAsync(""","max_tokens":40,"stream":true""");
        var chunks = stream.Events;

        Assert.Multiple(() =>
        {
            Assert.That(stream.Text, Does.EndWith("data: [DONE]\n\n"));
            Assert.That(chunks[0].GetProperty("choices")[0].GetProperty("delta").GetProperty("role").GetString(), Is.EqualTo("assistant"));
            Assert.That(stream.Streamed(), Is.EqualTo(whole.Content));
            Assert.That(chunks.Select(chunk => chunk.GetProperty("id").GetString()).Distinct().Count(), Is.EqualTo(1));
            Assert.That(chunks.Count(chunk => chunk.GetProperty("choices").EnumerateArray().Any(choice => choice.GetProperty("finish_reason").ValueKind == JsonValueKind.String)), Is.EqualTo(1));
            Assert.That(chunks[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(40));
            Assert.That(chunks[^1].GetProperty("choices").GetArrayLength(), Is.Zero);
            Assert.That(silent.Events.All(chunk => !chunk.TryGetProperty("usage", out _)));
            var rounds = whole.Json.GetProperty("timings").GetProperty("predicted_n").GetInt32();
            Assert.That(chunks, Has.Length.LessThanOrEqualTo(rounds + 3), "a round is one chunk");
        });
    }

    [Test]
    public async Task AStopText_EndsTheAnswer_AndNothingOfItLeaks()
    {
        var whole = (await _server.ChatAsync(""","max_tokens":60,"seed":3,"temperature":1""")).Content;
        var stop = whole.Substring(whole.Length / 2, 3);
        var members = $$""","max_tokens":60,"seed":3,"temperature":1,"stop":["never there",{{JsonSerializer.Serialize(stop)}}]""";
        var before = whole[..whole.IndexOf(stop, StringComparison.Ordinal)];

        var answer = await _server.ChatAsync(members);
        var stream = await _server.ChatAsync(members + ""","stream":true""");

        Assert.Multiple(() =>
        {
            Assert.That(answer.Content, Is.EqualTo(before));
            Assert.That(answer.Choice.GetProperty("finish_reason").GetString(), Is.EqualTo("stop"));
            Assert.That(stream.Streamed(), Is.EqualTo(before));
        });
    }

    [Test]
    public async Task SeveralTexts_AreThoseOfTheSeedsThatFollow()
    {
        const string Members = ""","temperature":1,"max_tokens":10,"n":3,"seed":40""";
        var several = await _server.ChatAsync(Members);
        var streamed = await _server.ChatAsync(Members + ""","stream":true""");
        for (var i = 0; i < 3; i++)
        {
            var one = await _server.ChatAsync($$""","temperature":1,"max_tokens":10,"seed":{{40 + i}}""");
            Assert.That(several.Json.GetProperty("choices")[i].GetProperty("message").GetProperty("content").GetString(), Is.EqualTo(one.Content), $"text {i}");
            Assert.That(streamed.Streamed(i), Is.EqualTo(one.Content), $"streamed text {i}");
        }

        Assert.That(several.Json.GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(30));
    }

    [Test]
    public async Task LogProbs_AreTheEnginesOwn()
    {
        var answer = await _server.ChatAsync(""","logprobs":true,"top_logprobs":2""");
        var expected = await _server.Engine.CompleteChatAsync([new ChatTurn("user", "hello in the")], new GenerationOptions { Temperature = 0, MaxTokens = 12, TopLogProbs = 2 });
        var tokens = answer.Choice.GetProperty("logprobs").GetProperty("content").EnumerateArray().ToArray();

        Assert.That(tokens.Select(token => token.GetProperty("logprob").GetSingle()), Is.EqualTo(expected.LogProbs.Select(token => token.Chosen.LogProb)));
        Assert.That(tokens.Select(token => token.GetProperty("top_logprobs").GetArrayLength()), Is.All.EqualTo(2));
        Assert.That(tokens.SelectMany(token => token.GetProperty("bytes").EnumerateArray().Select(value => (byte)value.GetInt32())), Is.EqualTo(expected.Ids.SelectMany(id => _server.Engine.Tokenizer.TokenBytes(id).ToArray())));
    }

    [Test]
    public async Task LogitBias_ForcesAToken()
    {
        var answer = await _server.ChatAsync(""","max_tokens":5,"logit_bias":{"65":100},"return_token_ids":true""");
        Assert.That(answer.Ids, Is.All.EqualTo(65));
    }

    [Test]
    public async Task TextOfUsers_NeverBecomesAControlToken()
    {
        foreach (var spelled in new[] { "<|begin_of_text|>", "<|end_of_text|>" })
        {
            var tokens = (await _server.PostAsync("tokenize", $$"""{"content":"{{spelled}}"}""")).Json.GetProperty("tokens");
            Assert.That(tokens.GetArrayLength(), Is.GreaterThan(1), spelled);

            var chat = (await _server.ChatAsync("", user: spelled)).Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
            var empty = (await _server.ChatAsync("", user: "")).Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
            Assert.That(chat - empty, Is.GreaterThan(1), $"{spelled} in a message");

            var completion = (await _server.PostAsync("v1/completions", $$"""{"prompt":"{{spelled}}","max_tokens":1}""")).Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
            Assert.That(completion, Is.GreaterThan(2), $"{spelled} in a prompt"); // one stands before every text
        }
    }

    [Test]
    public async Task WhatIsUnknownOrChangesNothing_IsIgnored()
    {
        var plain = await _server.ChatAsync("");
        var answer = await _server.ChatAsync(""","user":"u","metadata":{"a":"b"},"store":true,"service_tier":"auto","x_unknown":{"deep":[1]},"stop":null,"tools":null,"n":null,"modalities":["text"],"response_format":{"type":"text"}""");
        Assert.That(answer.Content, Is.EqualTo(plain.Content));
    }

    [Test]
    public async Task ManyChatsAtOnce_HaveTheTextsOfEachAlone()
    {
        string[] users = [.. Enumerable.Range(0, 64).Select(i => $"hello {i} in the {new string((char)('a' + (i % 26)), i % 7)}")];
        var together = await Task.WhenAll(users.Select((user, i) => _server.ChatAsync($$""","temperature":{{(i % 2 == 0 ? "0" : "0.8")}},"seed":{{i}},"return_token_ids":true""", user)));
        for (var i = 0; i < users.Length; i += 3)
        {
            var alone = await _server.ChatAsync($$""","temperature":{{(i % 2 == 0 ? "0" : "0.8")}},"seed":{{i}},"return_token_ids":true""", users[i]);
            Assert.That(together[i].Ids, Is.EqualTo(alone.Ids), users[i]);
        }
    }

    [Test]
    public async Task APrediction_LeavesTheTextAsItIs_AndIsCounted()
    {
        var plain = await _server.ChatAsync(""","max_tokens":60""");
        var predicted = await _server.ChatAsync($$""","max_tokens":60,"speculation":[],"prediction":{"type":"content","content":[{"type":"text","text":{{JsonSerializer.Serialize(plain.Content)}}}]}""");
        var off = await _server.ChatAsync($$""","max_tokens":60,"prediction":{"type":"content","content":{{JsonSerializer.Serialize(plain.Content)}}}""");
        Assert.Multiple(() =>
        {
            Assert.That(predicted.Content, Is.EqualTo(plain.Content));
            Assert.That(off.Content, Is.EqualTo(plain.Content));
            Assert.That(off.Json.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("accepted_prediction_tokens").GetInt32(), Is.GreaterThan(0));
            Assert.That(predicted.Json.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("accepted_prediction_tokens").GetInt32(), Is.Zero, "an empty list of drafters is plain decoding");
        });
    }
}
