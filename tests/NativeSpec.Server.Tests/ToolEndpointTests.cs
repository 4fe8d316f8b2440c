using System.Net;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI.Tests;

namespace NativeSpec.Server.Tests;

/// <summary>Calls of tools and thoughts over HTTP, with a model that says what a script has.</summary>
public sealed class ToolEndpointTests
{
    private const string Tools = """[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]""";
    private const string FlatTools = """[{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]""";
    private const string Oslo = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_call>";
    private const string HalfOfRome = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"ci", RestOfRome = "ty\": \"Rome\"}}</tool_call>";

    private ScriptedFolder _folder = null!;
    private TestServer _server = null!;

    [OneTimeSetUp]
    public async Task Start()
    {
        _folder = new ScriptedFolder([ScriptedFolder.Answer, "<think>", "hm", "</think>", "I look. ", Oslo, HalfOfRome, RestOfRome], [ScriptedFolder.AfterTool, "It is sunny."]);
        _server = await TestServer.StartFolderAsync(_folder.Path, ScriptedFolder.Template);
    }

    [OneTimeTearDown]
    public async Task Stop()
    {
        await _server.DisposeAsync();
        _folder.Dispose();
    }

    [Test]
    public async Task Chat_HasThoughtsTextAndCalls_WholeAndStreamed()
    {
        var whole = await ChatAsync("");
        var message = whole.Choice.GetProperty("message");
        var streamed = await ChatAsync(""","stream":true,"stream_options":{"include_usage":true}""");
        var deltas = streamed.Events.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray()).Select(choice => choice.GetProperty("delta")).ToArray();
        var calls = deltas.Where(delta => delta.TryGetProperty("tool_calls", out _)).SelectMany(delta => delta.GetProperty("tool_calls").EnumerateArray()).ToArray();
        Assert.Multiple(() =>
        {
            Assert.That(whole.Choice.GetProperty("finish_reason").GetString(), Is.EqualTo("tool_calls"), whole.Text);
            Assert.That(message.GetProperty("reasoning_content").GetString(), Is.EqualTo("hm"));
            Assert.That(message.GetProperty("content").GetString(), Is.EqualTo("I look."));
            Assert.That(message.GetProperty("tool_calls").EnumerateArray().Select(City), Is.EqualTo(new[] { "Oslo", "Rome" }));
            Assert.That(whole.Json.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32(), Is.EqualTo(3), "with the markers");
            Assert.That(streamed.Streamed(), Is.EqualTo("I look."));
            Assert.That(string.Concat(deltas.Where(delta => delta.TryGetProperty("reasoning_content", out _)).Select(delta => delta.GetProperty("reasoning_content").GetString())), Is.EqualTo("hm"));
            Assert.That(calls.Select(City), Is.EqualTo(new[] { "Oslo", "Rome" }));
            Assert.That(calls.Select(call => call.GetProperty("index").GetInt32()), Is.EqualTo(new[] { 0, 1 }));
            Assert.That(streamed.Events[^1].GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32(), Is.EqualTo(3));
        });
    }

    [TestCase("")]
    [TestCase(""","stream":true""")]
    public async Task ACallThatIsCutOff_EndsByItsLength_AndHasNoGoodArguments(string stream)
    {
        var answer = await ChatAsync(""","max_tokens":6""" + stream);
        var response = await _server.PostAsync("v1/responses", $$"""{"input":"weather?","temperature":0,"max_output_tokens":6,"tools":{{FlatTools}}}""");
        Assert.Multiple(() =>
        {
            Assert.That(answer.Text, Does.Contain("\"finish_reason\":\"length\"").And.Not.Contain("\"finish_reason\":\"tool_calls\""));
            Assert.That(answer.Text, Does.Contain(JsonEncodedText.Encode(HalfOfRome["<tool_call>".Length..], System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping).ToString()));
            Assert.That(response.Json.GetProperty("status").GetString(), Is.EqualTo("incomplete"), response.Text);
            Assert.That(response.Json.GetProperty("output").EnumerateArray().Where(item => item.GetProperty("type").GetString() == "function_call").Select(item => item.GetProperty("status").GetString()), Is.EqualTo(new[] { "completed", "incomplete" }));
        });
    }

    [Test]
    public async Task Responses_HaveItemsOfThem_AndRepeatTheTools()
    {
        var answer = (await _server.PostAsync("v1/responses", $$"""{"input":"weather?","temperature":0,"tools":{{FlatTools}},"tool_choice":"auto"}""")).Json;
        Assert.Multiple(() =>
        {
            Assert.That(answer.GetProperty("output").EnumerateArray().Select(item => item.GetProperty("type").GetString()), Is.EqualTo(new[] { "reasoning", "message", "function_call", "function_call" }));
            Assert.That(answer.GetProperty("status").GetString(), Is.EqualTo("completed"));
            Assert.That(answer.GetProperty("tools")[0].GetProperty("name").GetString(), Is.EqualTo("get_weather"));
            Assert.That(answer.GetProperty("tool_choice").GetString(), Is.EqualTo("auto"));
        });
    }

    [Test]
    public async Task AResultOfATool_IsAnswered()
    {
        var answer = await _server.PostAsync("v1/chat/completions", $$$"""
            {"temperature":0,"tools":{{{Tools}}},"messages":[{"role":"user","content":"weather?"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"abcdefgh1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]},
            {"role":"tool","tool_call_id":"abcdefgh1","content":"sun"}]}
            """);
        Assert.That(answer.Content, Is.EqualTo("It is sunny."), answer.Text);
    }

    [Test]
    public async Task WithATemplateThatHasNoPlaceForTools_TheyAreRefused()
    {
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { ChatTemplate = "chatml" });
        var chat = await server.ChatAsync($$""","tools":{{Tools}}""");
        var response = await server.PostAsync("v1/responses", $$"""{"input":"hi","tools":{{FlatTools}}}""");
        var none = await server.ChatAsync($$""","tool_choice":"none","tools":{{Tools}}""");
        Assert.That((chat.Status, chat.Parameter), Is.EqualTo((HttpStatusCode.BadRequest, "tools")));
        Assert.That((response.Status, response.Parameter), Is.EqualTo((HttpStatusCode.BadRequest, "tools")));
        Assert.That(none.Status, Is.EqualTo(HttpStatusCode.OK));
    }

    private static string? City(JsonElement call)
    {
        using var arguments = JsonDocument.Parse(call.GetProperty("function").GetProperty("arguments").GetString()!);
        return arguments.RootElement.GetProperty("city").GetString();
    }

    private Task<Answer> ChatAsync(string members)
        => _server.PostAsync("v1/chat/completions", $$"""{"messages":[{"role":"user","content":"weather?"}],"temperature":0,"tools":{{Tools}}{{members}}}""");
}
