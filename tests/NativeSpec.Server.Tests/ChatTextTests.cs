using System.Text.Json;
using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Answers;
using NativeSpec.Speculation;

namespace NativeSpec.Server.Tests;

/// <summary>What becomes of thoughts and calls of tools in an answer's text, whole and in pieces.</summary>
public sealed class ChatTextTests
{
    private const string Written = "<think>hm</think>Let me look.<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Porto\"}}</tool_call><tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Faro\"}}</tool_call>";

    private static readonly ReplyForm Form = new()
    {
        Reasoning = new ReplyMarkers("<think>", "</think>"),
        CallMarkers = [new ReplyMarkers("<tool_call>", "</tool_call>")],
        ToolNames = new HashSet<string> { "get_weather" },
    };

    [TestCase(1)]
    [TestCase(7)]
    [TestCase(1000)]
    public void CallsAndThoughts_AreReadHoweverTheTextIsCut(int length)
    {
        var text = new ChatText(Form, severalCalls: true);
        var parts = Pieces(length).SelectMany(text.Read).ToArray();
        Assert.Multiple(() =>
        {
            Assert.That(text.Reasoning, Is.EqualTo("hm"));
            Assert.That(text.Text, Is.EqualTo("Let me look."));
            Assert.That(text.FinishReason, Is.EqualTo("tool_calls"));
            Assert.That(text.Calls.Select(call => call.Index), Is.EqualTo(new int?[] { 0, 1 }));
            Assert.That(text.Calls.Select(call => call.Id).Distinct().Count(), Is.EqualTo(2));
            Assert.That(text.Calls.Select(call => JsonDocument.Parse(call.Function.Arguments).RootElement.GetProperty("city").GetString()), Is.EqualTo(new[] { "Porto", "Faro" }), "arguments are a text that holds JSON");
            Assert.That(string.Concat(parts.OfType<TextPart>().Select(part => part.Text)), Is.EqualTo("Let me look."));
        });
    }

    [Test]
    public void WithoutParallelCalls_OneIsReported()
    {
        var text = new ChatText(Form, severalCalls: false);
        Assert.That(Pieces(9).SelectMany(text.Read).OfType<ToolCallPart>().Count(), Is.EqualTo(1));
        Assert.That(text.Calls, Has.Count.EqualTo(1));
    }

    [Test]
    public void ACallThatBreaksOff_IsReportedAsOne()
    {
        const string Half = """<tool_call>{"name": "get_weather", "arguments": {"city": "Por""";
        var made = new ResponseItems(_ => { });
        var text = new ChatText(Form, severalCalls: true);
        foreach (var part in text.Read(new GenerationPiece(Half, [], [], Result() with { FinishReason = FinishReason.Length })))
        {
            made.Add(part, []);
        }

        Assert.That(text.FinishReason, Is.EqualTo("length"));
        Assert.That(text.Calls.Single().Function.Arguments, Is.EqualTo(Half["<tool_call>".Length..]), "what was written, which is no JSON");
        Assert.That(made.Items.Single().Status, Is.EqualTo(Response.Incomplete));
    }

    [Test]
    public void Responses_MakeItemsOfThem()
    {
        List<string> events = [];
        var items = new ResponseItems(one => events.Add(one.Type));
        var text = new ChatText(Form, severalCalls: true);
        foreach (var part in Pieces(5).SelectMany(text.Read))
        {
            items.Add(part, []);
        }

        items.End(Response.Completed);
        Assert.That(items.Items.Select(item => item.Type), Is.EqualTo(new[] { "reasoning", "message", "function_call", "function_call" }));
        Assert.That(events.Count(name => name == "response.output_item.added"), Is.EqualTo(4));
        Assert.That(events.Count(name => name == "response.output_item.done"), Is.EqualTo(4));
        Assert.That(events, Does.Contain("response.reasoning_text.done").And.Contain("response.function_call_arguments.done"));
    }

    private static IEnumerable<GenerationPiece> Pieces(int length)
    {
        for (var at = 0; at < Written.Length; at += length)
        {
            var end = Math.Min(at + length, Written.Length);
            yield return new GenerationPiece(Written[at..end], [], [], end == Written.Length ? Result() : null);
        }
    }

    private static GenerationResult Result() => new()
    {
        Text = Written,
        Ids = [1],
        LogProbs = [],
        FinishReason = FinishReason.Stop,
        StopString = null,
        Seed = 0,
        SamplerVersion = 2,
        PromptTokens = 1,
        Speculation = new SpeculationStats
        {
            Rounds = 1,
            Drafted = 0,
            Accepted = 0,
            Emitted = 1,
            Probes = 0,
            AcceptedPerPosition = [],
            DraftTime = default,
            PlanTime = default,
            VerifyTime = default,
            IsLossy = false,
            Drafters = [],
        },
        Timings = default,
    };
}
