using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>Tools and thoughts, with a model that says what a script has.</summary>
public sealed class ToolTests
{
    private const string Look = "I look. ";
    private const string Oslo = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}</tool_call>";
    private const string Rome = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>";
    private const string Broken = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": }}</tool_call>";
    private const string Sunny = "It is sunny in Oslo.";

    private static readonly AIFunction Weather = AIFunctionFactory.Create(
        ([System.ComponentModel.Description("where")] string city, int days = 1) => $"{city}: sun for {days} days", "get_weather", "Tells the weather.");

    [TestCase(false)]
    [TestCase(true)]
    public async Task ACall_IsOneContent_WithAnIdAndItsArguments(bool speculates)
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Look, Oslo, Rome]);
        var options = new ChatOptions { Tools = [Weather], RawRepresentationFactory = _ => new GenerationOptions { Speculation = speculates ? new() { Unplanned = true } : SpeculationOptions.Off } };

        var updates = await scripted.Client.GetStreamingResponseAsync("weather?", options).ToListAsync();

        var calls = updates.SelectMany(update => update.Contents).OfType<FunctionCallContent>().ToArray();
        Assert.That(calls.Select(call => $"{call.Name} {JsonSerializer.Serialize(call.Arguments)}"), Is.EqualTo(new[] { """get_weather {"city":"Oslo","days":2}""", """get_weather {"city":"Rome"}""" }));
        Assert.That(calls.Select(call => call.CallId), Is.Unique.And.All.Not.Empty);
        Assert.That(updates[^1].FinishReason, Is.EqualTo(ChatFinishReason.ToolCalls));
        Assert.That(updates.ToChatResponse().Text, Is.EqualTo("I look."));
        Assert.That(updates.SelectMany(update => update.Contents).OfType<UsageContent>().Count(), Is.EqualTo(1));
    }

    [Test]
    public async Task Tools_ThatWereNotGiven_AreNotLookedFor()
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Look, Oslo]);

        var without = await scripted.Client.GetResponseAsync("weather?");
        var none = await scripted.Client.GetResponseAsync("weather?", new() { Tools = [Weather], ToolMode = ChatToolMode.None });

        Assert.That(without.Text, Is.EqualTo(Look + Oslo));
        Assert.That(without.FinishReason, Is.EqualTo(ChatFinishReason.Stop));
        Assert.That(none.Text, Is.EqualTo(without.Text));
        Assert.That(none.Usage!.InputTokenCount, Is.EqualTo(without.Usage!.InputTokenCount));
    }

    [Test]
    public async Task AllowMultipleToolCalls_Off_GivesTheFirst()
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Oslo, Rome]);

        var response = await scripted.Client.GetResponseAsync("weather?", new() { Tools = [Weather], AllowMultipleToolCalls = false });

        Assert.That(response.Messages.Single().Contents.OfType<FunctionCallContent>().Single().Arguments!["city"]!.ToString(), Is.EqualTo("Oslo"));
        Assert.That(response.FinishReason, Is.EqualTo(ChatFinishReason.ToolCalls));
    }

    [Test]
    public async Task ACall_WhoseArgumentsCannotBeRead_SaysSo()
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Broken]);

        var response = await scripted.Client.GetResponseAsync("weather?", new() { Tools = [Weather] });

        var call = response.Messages.Single().Contents.OfType<FunctionCallContent>().Single();
        Assert.That((call.Name, call.Arguments), Is.EqualTo(("get_weather", (IDictionary<string, object?>?)null)));
        Assert.That(call.Exception, Is.TypeOf<JsonException>());
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task UseFunctionInvocation_CallsTheTool_AndTheModelSeesItsResult(bool streams)
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Look, Oslo], [ScriptedFolder.AfterTool, Sunny]);
        List<string> prompts = [];
        using var client = scripted.Client.AsBuilder()
            .UseFunctionInvocation()
            .Use((messages, options, next, cancellationToken) =>
            {
                prompts.Add(scripted.Engine.ChatTemplates.Render([.. ConversationMapping.Turns(messages, null)], cancellationToken: cancellationToken).Text);
                return next(messages, options, cancellationToken);
            })
            .Build();
        var options = new ChatOptions { Tools = [Weather] };

        var response = streams ? await client.GetStreamingResponseAsync("weather?", options).ToChatResponseAsync() : await client.GetResponseAsync("weather?", options);

        Assert.That(response.Messages.SelectMany(message => message.Contents).OfType<FunctionResultContent>().Single().Result?.ToString(), Is.EqualTo("Oslo: sun for 2 days"));
        Assert.That(response.Messages[^1].Text, Is.EqualTo(Sunny));
        Assert.That(response.FinishReason, Is.EqualTo(ChatFinishReason.Stop));
        Assert.That(prompts, Has.Count.EqualTo(2));
        Assert.That(prompts[1], Does.Contain("<assistant>I look.<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}</tool_call><tool>Oslo: sun for 2 days"));
        Assert.That(prompts[1], Does.EndWith(ScriptedFolder.AfterTool));
        Assert.That(response.Usage!.OutputTokenCount, Is.EqualTo(3 + 2), "both calls of the model, each with the token that ends it");
    }

    [Test]
    public async Task UseFunctionInvocation_WithArgumentsThatCannotBeRead_DoesNotCallTheTool()
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Broken], [ScriptedFolder.AfterTool, Sunny]);
        using var client = scripted.Client.AsBuilder().UseFunctionInvocation().Build();
        var calls = 0;

        var response = await client.GetResponseAsync("weather?", new() { Tools = [AIFunctionFactory.Create((string city = "everywhere") => ++calls, "get_weather")] });

        Assert.That(calls, Is.Zero, "without its arguments it would do something else than was asked for");
        Assert.That(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>().Single().Exception, Is.Not.Null);
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task Schemas_OfManyKindsOfParameters_AreAccepted(bool streams)
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, Look]);
        var options = new ChatOptions
        {
            Tools =
            [
                AIFunctionFactory.Create((Dictionary<string, List<int?>> a, Uri b, DateTimeOffset c, Guid? d, DayOfWeek e, string[] f, JsonElement g, bool h = true) => { }, "many"),
                AIFunctionFactory.CreateDeclaration("declared", "only declared", Weather.JsonSchema),
            ],
        };

        var response = streams ? await scripted.Client.GetStreamingResponseAsync("q", options).ToChatResponseAsync() : await scripted.Client.GetResponseAsync("q", options);

        Assert.That(response.Text, Is.EqualTo(Look.TrimEnd()).Or.EqualTo(Look));
        Assert.That(response.Usage!.InputTokenCount, Is.GreaterThan(300), "the model sees them");
    }

    [Test]
    public async Task Thoughts_AreReasoningContent_AndCounted()
    {
        using var scripted = new Scripted([ScriptedFolder.Answer, "<think>", "2 + 2", "</think>", "\n\n4."]);

        var shown = await scripted.Client.GetResponseAsync("2 + 2?");
        var hidden = await scripted.Client.GetResponseAsync("2 + 2?", new() { Reasoning = new() { Output = ReasoningOutput.None } });
        var updates = await scripted.Client.GetStreamingResponseAsync([new(ChatRole.User, "q"), .. shown.Messages, new(ChatRole.User, "q")]).ToListAsync();

        Assert.That(shown.Text, Is.EqualTo("4."));
        Assert.That(shown.Messages.Single().Contents.OfType<TextReasoningContent>().Single().Text, Is.EqualTo("2 + 2"));
        Assert.That(shown.Usage!.ReasoningTokenCount, Is.EqualTo(3), "with the markers");
        Assert.That(hidden.Messages.Single().Contents.OfType<TextReasoningContent>(), Is.Empty);
        Assert.That(hidden.Text, Is.EqualTo("4."));
        Assert.That(updates.ToChatResponse().Text, Is.EqualTo("4."), "earlier thoughts may be given back");
    }

    [Test]
    public void Results_OfTools_AreTextForTheModel()
    {
        ChatMessage[] messages =
        [
            new(ChatRole.Assistant, [new FunctionCallContent("a", "f"), new FunctionCallContent("b", "g", new Dictionary<string, object?> { ["x"] = 1 })]),
            new(ChatRole.Tool, [new FunctionResultContent("a", JsonSerializer.SerializeToElement("text")), new FunctionResultContent("b", JsonSerializer.SerializeToElement(new[] { 1, 2 }))]),
            new(ChatRole.Tool, [new FunctionResultContent("b", null) { Exception = new InvalidOperationException("no") }, new FunctionResultContent("c", 1.5), new FunctionResultContent("c", null)]),
        ];

        var turns = ConversationMapping.Turns(messages, null).ToArray();

        Assert.That(turns[0].Content, Is.Null);
        Assert.That(turns[0].ToolCalls.Select(call => $"{call.Id} {call.Name} {call.Arguments.GetRawText()}"), Is.EqualTo(new[] { "a f {}", """b g {"x":1}""" }));
        Assert.That(turns[1..].Select(turn => $"{turn.Role} {turn.ToolCallId} {turn.Name}: {turn.Content}"), Is.EqualTo(new[] { "tool a f: text", "tool b g: [1,2]", "tool b g: Error: no", "tool c : 1.5", "tool c : null" }));
    }

    private sealed class Scripted : IDisposable
    {
        private readonly ScriptedFolder _folder;

        public Scripted(params string[][] scripts)
        {
            _folder = new ScriptedFolder(scripts);
            Engine = InferenceEngine.Load(_folder.Path, new EngineOptions { ProfileDirectory = null, Threads = 1 });
            Client = new NativeSpecChatClient(Engine);
        }

        public InferenceEngine Engine { get; }

        public NativeSpecChatClient Client { get; }

        public void Dispose()
        {
            Engine.Dispose();
            _folder.Dispose();
        }
    }
}
