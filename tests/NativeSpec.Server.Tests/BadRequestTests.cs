using System.Net;
using System.Text;

namespace NativeSpec.Server.Tests;

/// <summary>Every kind of bad input is answered by a 4xx that names the member, in the nested shape that clients read.</summary>
public sealed class BadRequestTests
{
    private const string Chat = "v1/chat/completions";

    private TestServer _server = null!;

    [OneTimeSetUp]
    public async Task Start() => _server = await TestServer.StartTinyAsync(configure: options => options.MaxRequestBytes = 200_000);

    [OneTimeTearDown]
    public async Task Stop() => await _server.DisposeAsync();

    [TestCase("\"temperature\":-1", "temperature")]
    [TestCase("\"temperature\":\"hot\"", "temperature")]
    [TestCase("\"temperature\":1e999", "temperature")]
    [TestCase("\"temperature\":NaN", null)] // no JSON at all
    [TestCase("\"top_p\":2", "top_p")]
    [TestCase("\"top_p\":-0.1", "top_p")]
    [TestCase("\"top_k\":-2", "top_k")]
    [TestCase("\"min_p\":1.5", "min_p")]
    [TestCase("\"repetition_penalty\":0", "repetition_penalty")]
    [TestCase("\"presence_penalty\":3", "presence_penalty")]
    [TestCase("\"frequency_penalty\":-3", "frequency_penalty")]
    [TestCase("\"seed\":1.5", "seed")]
    [TestCase("\"seed\":99999999999999999999999", "seed")]
    [TestCase("\"max_tokens\":0", "max_tokens")]
    [TestCase("\"max_completion_tokens\":-5", "max_completion_tokens")]
    [TestCase("\"max_completion_tokens\":1e10", "max_completion_tokens")]
    [TestCase("\"max_completion_tokens\":2.5", "max_completion_tokens")]
    [TestCase("\"n\":100000", "n")]
    [TestCase("\"n\":0", "n")]
    [TestCase("\"n\":-2147483649", "n")]
    [TestCase("\"top_logprobs\":5000,\"logprobs\":true", "top_logprobs")]
    [TestCase("\"top_logprobs\":2", "top_logprobs")]
    [TestCase("\"logprobs\":3", "logprobs")]
    [TestCase("\"stop\":[\"a\",5]", "stop[1]")]
    [TestCase("\"stop\":\"\"", "stop")]
    [TestCase("\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", "stop")]
    [TestCase("\"stop\":{}", "stop")]
    [TestCase("\"logit_bias\":{\"x\":1}", "logit_bias")]
    [TestCase("\"logit_bias\":{\"-1\":1}", "logit_bias")]
    [TestCase("\"logit_bias\":{\"5\":101}", "logit_bias")]
    [TestCase("\"logit_bias\":{\"99999\":1}", "logit_bias")]
    [TestCase("\"logit_bias\":{\"5\":\"much\"}", "logit_bias.5")]
    [TestCase("\"logit_bias\":{\"\\ud800\":1}", null)]
    [TestCase("\"\\ud800\":1", null)]
    [TestCase("\"chat_template_kwargs\":{\"\\ud800\":1}", null)]
    [TestCase("\"chat_template_kwargs\":{\"messages\":[]}", "chat_template_kwargs.messages")]
    [TestCase("\"chat_template_kwargs\":{\"tools\":[]}", "chat_template_kwargs.tools")]
    [TestCase("\"chat_template_kwargs\":{\"add_generation_prompt\":false}", "chat_template_kwargs.add_generation_prompt")]
    [TestCase("\"chat_template_kwargs\":{\"eos_token\":\"x\"}", "chat_template_kwargs.eos_token")]
    [TestCase("\"stop_token_ids\":[999999]", "stop_token_ids")]
    [TestCase("\"stream\":\"yes\"", "stream")]
    [TestCase("\"stream_options\":{\"include_usage\":true}", "stream_options")]
    [TestCase("\"tool_choice\":\"required\"", "tool_choice")]
    [TestCase("\"tool_choice\":\"sometimes\"", "tool_choice")]
    [TestCase("\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tool_choice")]
    [TestCase("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tool_choice")]
    [TestCase("\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type")]
    [TestCase("\"tools\":[{\"type\":\"function\"}]", "tools[0].function")]
    [TestCase("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]", "tools[0].function.name")]
    [TestCase("\"response_format\":{\"type\":\"xml\"}", "response_format")]
    [TestCase("\"response_format\":{\"type\":\"json_object\"}", "response_format")]
    [TestCase("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{}}}", "response_format")]
    [TestCase("\"modalities\":[\"audio\"]", "modalities")]
    [TestCase("\"functions\":[]", "functions")]
    [TestCase("\"grammar\":\"root ::= x\"", "grammar")]
    [TestCase("\"chat_template\":\"{{ messages }}\"", "chat_template")]
    [TestCase("\"reasoning_effort\":\"lots\"", "reasoning_effort")]
    [TestCase("\"prediction\":{\"type\":\"guess\"}", "prediction.type")]
    [TestCase("\"prediction\":{\"type\":\"content\"}", "prediction.content")]
    [TestCase("\"speculation\":\"maybe\"", "speculation")]
    [TestCase("\"speculation\":[\"oracle\"]", "speculation")]
    public async Task ABadOption_IsRefusedByName(string member, string? parameter)
        => Refused(await _server.PostAsync(Chat, $$"""{"messages":[{"role":"user","content":"hi"}],{{member}}}"""), HttpStatusCode.BadRequest, parameter);

    [TestCase("{}", "messages")]
    [TestCase("{\"messages\":[]}", "messages")]
    [TestCase("{\"messages\":\"hi\"}", "messages")]
    [TestCase("{\"messages\":[5]}", "messages[0]")]
    [TestCase("{\"messages\":[{\"content\":\"x\"}]}", "messages[0].role")]
    [TestCase("{\"messages\":[{\"role\":\"nobody\",\"content\":\"x\"}]}", "messages[0].role")]
    [TestCase("{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content")]
    [TestCase("{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content")]
    [TestCase("{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", "messages[0].content")]
    [TestCase("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}]}]}", "messages[0].content[0].type")]
    [TestCase("{\"messages\":[{\"role\":\"assistant\"}]}", "messages[0].content")]
    [TestCase("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}]}", "messages[0].tool_calls[0].function.arguments")]
    [TestCase("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{}}}]}]}", "messages[0].tool_calls[0].function.arguments")]
    public async Task ABadConversation_IsRefusedByPath(string json, string parameter) => Refused(await _server.PostAsync(Chat, json), HttpStatusCode.BadRequest, parameter);

    [TestCase("{\"model\": \"x\", \"messages\": [")]
    [TestCase("[]")]
    [TestCase("")]
    [TestCase("nonsense")]
    [TestCase("\"text\"")]
    public async Task WhatIsNoJsonObject_IsRefused(string body) => Refused(await _server.PostAsync(Chat, body), HttpStatusCode.BadRequest, null);

    [Test]
    public async Task ManyBiases_AreRefused()
        => Refused(await _server.ChatAsync($$""","logit_bias":{{{string.Join(',', Enumerable.Range(0, 1025).Select(id => $"\"{id}\":1"))}}}"""), HttpStatusCode.BadRequest, "logit_bias");

    [Test]
    public async Task ADepthBomb_IsRefused()
        => Refused(await _server.PostAsync(Chat, $$"""{"messages":{{new string('[', 5000)}}{{new string(']', 5000)}}}"""), HttpStatusCode.BadRequest, null);

    [Test]
    public async Task OtherModels_AreNotFound()
    {
        Refused(await _server.PostAsync(Chat, """{"model":"no-such-model","messages":[{"role":"user","content":"hi"}]}"""), HttpStatusCode.NotFound, "model", "model_not_found");
        Refused(await _server.GetAsync("v1/models/no-such-model"), HttpStatusCode.NotFound, "model", "model_not_found");
        Assert.That((await _server.GetAsync("v1/models/tiny")).Json.GetProperty("id").GetString(), Is.EqualTo("tiny"));
    }

    [Test]
    public async Task UnknownPaths_AreNotFound()
    {
        Refused(await _server.PostAsync("v1/embeddings", """{"input":"x"}"""), HttpStatusCode.NotFound, null, "not_found");
        Refused(await _server.GetAsync("v1/chat/completions"), HttpStatusCode.NotFound, null, "not_found");
    }

    [Test]
    public async Task APromptBeyondTheContext_IsRefusedAsThat()
    {
        var text = new string('x', 2000);
        Refused(await _server.PostAsync(Chat, $$"""{"messages":[{"role":"user","content":"{{text}}"}]}"""), HttpStatusCode.BadRequest, "messages", "context_length_exceeded");
        Refused(await _server.PostAsync("v1/completions", $$"""{"prompt":"{{text}}"}"""), HttpStatusCode.BadRequest, "prompt", "context_length_exceeded");
        Refused(await _server.PostAsync("v1/completions", $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat(1, 50_000))}}]}"""), HttpStatusCode.BadRequest, "prompt", "context_length_exceeded");
        Refused(await _server.PostAsync("v1/completions", $$"""{"prompt":["a",[{{string.Join(',', Enumerable.Repeat(1, 50_000))}}]]}"""), HttpStatusCode.BadRequest, "prompt", "context_length_exceeded");
        Refused(await _server.PostAsync("v1/responses", $$"""{"input":"{{text}}"}"""), HttpStatusCode.BadRequest, "input", "context_length_exceeded");
        Refused(await _server.ChatAsync($$""","prediction":{"type":"content","content":"{{text}}"}"""), HttpStatusCode.BadRequest, "prediction");
    }

    [Test]
    public async Task ALargeBody_IsRefused() => Refused(await _server.ChatAsync("", user: new string('x', 300_000)), HttpStatusCode.RequestEntityTooLarge, null);

    [TestCase("text/plain")]
    [TestCase("application/x-www-form-urlencoded")]
    public async Task AnotherContentType_IsRefused(string type)
        => Refused(await _server.PostAsync(Chat, """{"messages":[{"role":"user","content":"hi"}]}""", contentType: type), HttpStatusCode.UnsupportedMediaType, "content-type");

    [Test]
    public async Task BytesThatAreNoUtf8_AreRefused()
    {
        using var content = new ByteArrayContent([.. Encoding.ASCII.GetBytes("{\"messages\":[{\"role\":\"user\",\"content\":\""), 0xFF, 0xFE, .. Encoding.ASCII.GetBytes("\"}]}")]);
        content.Headers.ContentType = new("application/json");
        using var response = await _server.Http.PostAsync(Chat, content);
        Refused(new Answer(response.StatusCode, await response.Content.ReadAsStringAsync(), null), HttpStatusCode.BadRequest, "messages[0].content");
    }

    [TestCase("{}", "prompt")]
    [TestCase("{\"prompt\":\"\",\"max_tokens\":-1}", "max_tokens")]
    [TestCase("{\"prompt\":[]}", "prompt")]
    [TestCase("{\"prompt\":[1,\"x\"]}", "prompt[1]")]
    [TestCase("{\"prompt\":[-1]}", "prompt[0]")]
    [TestCase("{\"prompt\":[999999]}", "prompt")]
    [TestCase("{\"prompt\":[[]]}", "prompt")]
    [TestCase("{\"prompt\":\"x\",\"suffix\":\"y\"}", "suffix")]
    [TestCase("{\"prompt\":\"x\",\"best_of\":3}", "best_of")]
    [TestCase("{\"prompt\":\"x\",\"echo\":true,\"logprobs\":1}", "logprobs")]
    [TestCase("{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":4}", "n")]
    [TestCase("{\"prompt\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", "prompt")]
    public async Task ABadCompletion_IsRefusedByName(string json, string parameter) => Refused(await _server.PostAsync("v1/completions", json), HttpStatusCode.BadRequest, parameter);

    [TestCase("{}", "input")]
    [TestCase("{\"input\":[]}", "input")]
    [TestCase("{\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", "previous_response_id")]
    [TestCase("{\"input\":\"x\",\"background\":true}", "background")]
    [TestCase("{\"input\":\"x\",\"truncation\":\"auto\"}", "truncation")]
    [TestCase("{\"input\":\"x\",\"max_output_tokens\":0}", "max_output_tokens")]
    [TestCase("{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}", "text.format")]
    [TestCase("{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", "input[0].type")]
    [TestCase("{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}", "input[0].content[0].type")]
    [TestCase("{\"input\":[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}]}", "input[0].call_id")]
    public async Task ABadResponse_IsRefusedByName(string json, string parameter) => Refused(await _server.PostAsync("v1/responses", json), HttpStatusCode.BadRequest, parameter);

    [TestCase("tokenize", "{}", "content")]
    [TestCase("detokenize", "{}", "tokens")]
    [TestCase("detokenize", "{\"tokens\":[300]}", "tokens[0]")]
    public async Task BadTokens_AreRefusedByName(string path, string json, string parameter) => Refused(await _server.PostAsync(path, json), HttpStatusCode.BadRequest, parameter);

    [Test, Order(int.MaxValue)]
    public async Task AfterAllThat_TheServerServes() => Assert.That((await _server.ChatAsync("")).Status, Is.EqualTo(HttpStatusCode.OK));

    private static void Refused(Answer answer, HttpStatusCode status, string? parameter, string? code = null)
    {
        Assert.That(answer.Status, Is.EqualTo(status), answer.Text);
        var error = answer.Json.GetProperty("error");
        Assert.Multiple(() =>
        {
            Assert.That(error.GetProperty("message").GetString(), Is.Not.Empty);
            Assert.That(error.GetProperty("type").GetString(), Is.EqualTo("invalid_request_error"));
            Assert.That(error.TryGetProperty("code", out var found), "code is there");
            Assert.That(answer.Parameter, Is.EqualTo(parameter), answer.Text);
            Assert.That(code, Is.Null.Or.EqualTo(found.GetString()));
        });
    }
}
