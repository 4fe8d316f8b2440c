using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Server.Metrics;

namespace NativeSpec.Server.Tests;

/// <summary>The endpoints beside chat: completions, responses, tokens, metrics.</summary>
public sealed class EndpointTests
{
    private TestServer _server = null!;

    [OneTimeSetUp]
    public async Task Start() => _server = await TestServer.StartTinyAsync();

    [OneTimeTearDown]
    public async Task Stop() => await _server.DisposeAsync();

    [Test]
    public async Task ACompletion_IsTheEnginesText_ByTextAndByTokens()
    {
        var expected = await _server.Engine.CompleteAsync("hello in the", new GenerationOptions { Temperature = 0, MaxTokens = 16 });
        var ids = _server.Engine.Tokenizer.Encode("hello in the");
        var byText = await CompleteAsync("""{"prompt":"hello in the","temperature":0,"return_token_ids":true}""");
        var byIds = await CompleteAsync($$"""{"prompt":[{{string.Join(',', ids)}}],"temperature":0}""");
        var batch = await CompleteAsync($$"""{"prompt":["other",[{{string.Join(',', ids)}}]],"temperature":0}""");
        var streamed = await CompleteAsync("""{"prompt":"hello in the","temperature":0,"stream":true,"echo":true,"stream_options":{"include_usage":true}}""");

        Assert.Multiple(() =>
        {
            Assert.That(byText.Ids, Is.EqualTo(expected.Ids));
            Assert.That(Text(byText), Is.EqualTo(expected.Text));
            Assert.That(Text(byIds), Is.EqualTo(expected.Text));
            Assert.That(batch.Json.GetProperty("choices")[1].GetProperty("text").GetString(), Is.EqualTo(expected.Text));
            Assert.That(batch.Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), Is.EqualTo(ids.Length + _server.Engine.Tokenizer.Encode("other").Length));
            Assert.That(string.Concat(streamed.Events.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray()).Select(choice => choice.GetProperty("text").GetString())), Is.EqualTo("hello in the" + expected.Text));
            Assert.That(streamed.Events[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(16));
            Assert.That(streamed.Events[^1].GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), Is.EqualTo(ids.Length));
        });
    }

    [Test]
    public async Task LogProbsOfACompletion_StandBesideItsTokens()
    {
        var answer = await CompleteAsync("""{"prompt":"hello","temperature":0,"max_tokens":6,"logprobs":2}""");
        var logProbs = answer.Choice.GetProperty("logprobs");
        Assert.Multiple(() =>
        {
            Assert.That(logProbs.GetProperty("tokens").GetArrayLength(), Is.EqualTo(6));
            Assert.That(logProbs.GetProperty("token_logprobs").GetArrayLength(), Is.EqualTo(6));
            Assert.That(logProbs.GetProperty("top_logprobs")[0].EnumerateObject().Count(), Is.EqualTo(2));
            Assert.That(logProbs.GetProperty("text_offset")[0].GetInt32(), Is.Zero);
        });
    }

    [Test]
    public async Task AResponse_IsTheChatsText_WholeAndStreamed()
    {
        const string Input = """{"instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"hello in the"}]}],"temperature":0,"max_output_tokens":20""";
        var chat = await _server.PostAsync("v1/chat/completions", """{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hello in the"}],"temperature":0,"max_tokens":20}""");
        var whole = (await _server.PostAsync("v1/responses", Input + "}")).Json;
        var events = (await _server.PostAsync("v1/responses", Input + ""","stream":true}""")).Events;
        var text = whole.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString();

        Assert.Multiple(() =>
        {
            Assert.That(text, Is.EqualTo(chat.Content));
            Assert.That(whole.GetProperty("status").GetString(), Is.EqualTo("incomplete"));
            Assert.That(whole.GetProperty("incomplete_details").GetProperty("reason").GetString(), Is.EqualTo("max_output_tokens"));
            Assert.That(events.Select(one => one.GetProperty("sequence_number").GetInt32()), Is.EqualTo(Enumerable.Range(0, events.Length)));
            Assert.That(events[0].GetProperty("type").GetString(), Is.EqualTo("response.created"));
            Assert.That(events[^1].GetProperty("type").GetString(), Is.EqualTo("response.incomplete"));
            Assert.That(string.Concat(events.Where(one => one.GetProperty("type").GetString() == "response.output_text.delta").Select(one => one.GetProperty("delta").GetString())), Is.EqualTo(text));
            Assert.That(events[^1].GetProperty("response").GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString(), Is.EqualTo(text));
            Assert.That(events[^1].GetProperty("response").GetProperty("usage").GetProperty("output_tokens").GetInt32(), Is.EqualTo(20));
        });
    }

    [Test]
    public async Task AConversationWithCallsOfTools_IsTheSameInBothProtocols()
    {
        var chat = await _server.PostAsync("v1/chat/completions", """{"messages":[{"role":"user","content":"weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"21"}],"temperature":0,"max_tokens":8}""");
        var response = await _server.PostAsync("v1/responses", """{"input":[{"role":"user","content":"weather?"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"c1","output":"21"}],"temperature":0,"max_output_tokens":8}""");
        Assert.That(response.Json.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString(), Is.EqualTo(chat.Content));
        Assert.That(response.Json.GetProperty("usage").GetProperty("input_tokens").GetInt32(), Is.EqualTo(chat.Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32()));
    }

    [Test]
    public async Task Tokens_AreTheTokenizers()
    {
        var tokens = await _server.PostAsync("tokenize", """{"content":"hello in the"}""");
        int[] ids = [.. tokens.Json.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32())];
        var pieces = await _server.PostAsync("tokenize", """{"content":"hello in the","with_pieces":true}""");
        var special = await _server.PostAsync("tokenize", """{"content":"<|end_of_text|>","parse_special":true}""");
        Assert.Multiple(async () =>
        {
            Assert.That(ids, Is.EqualTo(_server.Engine.Tokenizer.Encode("hello in the", addSpecial: false)));
            Assert.That(string.Concat(pieces.Json.GetProperty("tokens").EnumerateArray().Select(piece => piece.GetProperty("piece").GetString())), Is.EqualTo("hello in the"));
            Assert.That(special.Json.GetProperty("tokens").GetArrayLength(), Is.EqualTo(1));
            Assert.That((await _server.PostAsync("detokenize", JsonSerializer.Serialize(new { tokens = ids }))).Json.GetProperty("content").GetString(), Is.EqualTo("hello in the"));
        });
    }

    [Test]
    public async Task Metrics_CountRequestsTokensAndSpeculation()
    {
        var (before, tokens) = (await _server.MetricAsync("nativespec_http_requests_total", "/v1/completions", "200"), await _server.MetricAsync("nativespec_output_tokens_total", "tiny"));
        var refusals = await _server.MetricAsync("nativespec_http_requests_total", "/v1/completions", "400");
        var answer = await CompleteAsync("""{"prompt":"hello in the hello in the hello","temperature":0,"max_tokens":40}""");
        await CompleteAsync("{}");
        var timings = answer.Json.GetProperty("timings");
        var text = (await _server.GetAsync("metrics")).Text;

        Assert.Multiple(async () =>
        {
            Assert.That(await _server.MetricAsync("nativespec_http_requests_total", "/v1/completions", "200") - before, Is.EqualTo(1));
            Assert.That(await _server.MetricAsync("nativespec_http_requests_total", "/v1/completions", "400") - refusals, Is.EqualTo(1));
            Assert.That(await _server.MetricAsync("nativespec_output_tokens_total", "tiny") - tokens, Is.EqualTo(40));
            Assert.That(await _server.MetricAsync("nativespec_spec_decode_num_accepted_tokens_total", "tiny"), Is.GreaterThanOrEqualTo(timings.GetProperty("draft_n_accepted").GetInt32()));
            Assert.That(await _server.MetricAsync("nativespec_spec_decode_num_accepted_tokens_per_pos_total", "tiny"), Is.EqualTo(await _server.MetricAsync("nativespec_spec_decode_num_accepted_tokens_total", "tiny")));
            Assert.That(await _server.MetricAsync("nativespec_kv_cache_usage_perc", "tiny"), Is.Zero);
            Assert.That(await _server.MetricAsync("nativespec_num_requests_running", "tiny"), Is.Zero);
            Assert.That(await _server.MetricAsync("nativespec_kv_cache_block_size", "tiny"), Is.EqualTo(64));
            Assert.That(text, Does.Contain("# TYPE gen_ai_server_time_to_first_token_seconds histogram").And.Contain("le=\"+Inf\""));
        });
    }

    [Test]
    public async Task MetricsLines_AreInPrometheusForm()
    {
        await CompleteAsync("""{"prompt":"hello"}""");
        foreach (var line in (await _server.GetAsync("metrics")).Text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.That(line, Does.Match("^(# (HELP|TYPE) [a-z_:]+ .*|[a-z_:]+(\\{[a-z_]+=\"[^\"]*\"(,[a-z_]+=\"[^\"]*\")*\\})? (-?[0-9.E+-]+|NaN))$"));
        }
    }

    [Test]
    public void ScrapesAtOnce_AllHaveTheGauges()
    {
        using var meter = new ServerMeter();
        using var collector = new MetricsCollector(meter);
        var lacking = 0;
        Parallel.For(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ => Interlocked.Add(ref lacking, collector.Write().Contains("nativespec_num_requests_running{", StringComparison.Ordinal) ? 0 : 1));
        Assert.That(lacking, Is.Zero);
    }

    private Task<Answer> CompleteAsync(string json) => _server.PostAsync("v1/completions", json);

    private static string? Text(Answer answer) => answer.Choice.GetProperty("text").GetString();
}
