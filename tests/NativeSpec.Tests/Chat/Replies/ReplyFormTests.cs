using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Tests.Chat.Replies;

/// <summary>What published templates show of how their models answer.</summary>
public sealed class ReplyFormTests
{
    private static readonly ChatFormat WithTools = new() { Tools = [Reading.Tool("weather"), Reading.Tool("add")] };
    private static readonly ReplyMarkers Hermes = new("<tool_call>", "</tool_call>"), Mistral = new("[TOOL_CALLS]", null);

    private static readonly object?[][] Forms =
    [
        ["hermes-2-pro-llama-3-8b", Hermes], ["hermes-3-llama-3.1-8b-tool-use", Hermes], ["qwen2.5-7b-instruct", Hermes], ["qwen2.5-instruct-strict", Hermes], ["qwen2.5-trl-training", Hermes],
        ["qwen3-0.6b", Hermes], ["qwen3-axolotl", Hermes], ["qwen3-instruct-2507", Hermes], ["qwen3-trl", Hermes], ["qwen3-trl-training", Hermes],
        ["llama-3.1-8b-instruct", null], ["llama-3.2-3b-instruct", null], ["llama-3.2-11b-vision-instruct", null],
        ["mistral-7b-instruct-v0.3", Mistral], ["mistral-7b-instruct-v0.3-sota-gguf", Mistral], ["mistral-large-2407-v3", Mistral], ["mistral-nemo-2407", Mistral],
        ["mistral-nemo-2407-v3-tekken", Mistral], ["mistral-v2v3-axolotl", Mistral], ["mistral-v3-tekken-axolotl", Mistral],
    ];

    [TestCaseSource(nameof(Forms))]
    public void ReplyForm_OfATemplateWithTools_ReadsTheCallsThatItWrites(string name, ReplyMarkers? markers)
    {
        var templates = Load(name);
        var form = templates.ReplyForm(WithTools);
        Assert.That(form.CallMarkers, Is.EqualTo(markers is null ? Array.Empty<ReplyMarkers>() : [markers]));
        Assert.That(form.ShowsTools, Is.True);

        ChatToolCall[] calls =
        [
            new("weather", Json("""{"city": "a \"quoted\" </tool_call>, ]} and\n\u00e4", "list": [1, {"x": null}]}"""), "abcdefgh1"),
            new("add", Json("""{"city": ""}"""), "abcdefgh2"),
        ];
        foreach (var given in markers is null ? new[] { calls[..1] } : [calls[..1], calls]) // Llama's templates write one call a turn
        {
            var answer = Answer(templates, new ChatTurn("assistant", null) { ToolCalls = given });
            string[] expected = [.. given.Select(call => $"call:{call.Name}{call.Arguments.GetRawText()}")];

            Assert.That(Same(Reading.Of(form, answer)), Is.EqualTo(Same(expected)), answer);
            Assert.That(Same(Reading.Of(form, answer.Select(c => c.ToString()))), Is.EqualTo(Same(expected)), answer);
        }
    }

    [TestCase("qwen3-0.6b", false)]
    [TestCase("qwen3-axolotl", true)]
    [TestCase("qwen3-trl", false)]
    [TestCase("smollm3-3b", false)]
    [TestCase("deepseek-r1", false)]
    [TestCase("deepseek-r1-distill", true)]
    [TestCase("phi-4-axolotl", false)]
    public void ReplyForm_OfAThinkingModel_KnowsItsMarkersAndWhetherThePromptOpensTheThought(string name, bool opened)
    {
        var form = Load(name).ReplyForm();

        Assert.That(form.Reasoning, Is.EqualTo(new ReplyMarkers("<think>", "</think>")));
        Assert.That(form.BeginsInReasoning, Is.EqualTo(opened));
        Assert.That(form.CallMarkers, Is.Empty, "no tools were given");
    }

    [Test]
    public void ReplyForm_FollowsTheVariablesOfTheFormat()
    {
        // Off: the prompt opens the thought and closes it again.
        var form = Load("qwen3-axolotl").ReplyForm(new() { Variables = new Dictionary<string, JsonElement> { ["enable_thinking"] = Json("false") } });

        Assert.That(form.BeginsInReasoning, Is.False);
    }

    [TestCase("qwen3-0.6b")]
    [TestCase("qwen3-axolotl")]
    public void ReplyForm_AThoughtThatATemplateWrites_IsReadBack(string name)
    {
        var templates = Load(name);

        var answer = Answer(templates, new ChatTurn("assistant", "It is 4.") { Reasoning = "2 + 2, that is\n\n4" });

        Assert.That(Reading.Of(templates.ReplyForm(WithTools), answer), Is.EqualTo(new[] { "thought:2 + 2, that is\n\n4", "text:It is 4." }), answer);
    }

    [TestCase("llama-2-chat")]
    [TestCase("gemma-2-2b-it")]
    [TestCase("zephyr-7b-beta")]
    [TestCase("qwen1.5-72b-chat")]
    public void ReplyForm_OfATemplateWithoutEither_IsText(string name)
    {
        var form = Load(name).ReplyForm(WithTools);

        Assert.That(form.Reasoning, Is.Null);
        Assert.That(form.CallMarkers, Is.Empty);
        Assert.That(form.ShowsTools, Is.False, "the model never hears of them");
    }

    [Test]
    public void ReplyForm_OfATemplateThatTellsHowAndWritesNoCalls_IsWhatItTells()
        => Assert.That(Load("smollm3-3b").ReplyForm(WithTools).CallMarkers, Is.EqualTo(new[] { Hermes }));

    [TestCase("qwen3.5-4b")]
    [TestCase("glm-4-moe")]
    [TestCase("lfm2.5")]
    public void ReplyForm_OfAFormThatIsNoJson_LeavesCallsInTheText(string name)
    {
        var form = Load(name).ReplyForm(WithTools);

        Assert.That(form.CallMarkers, Is.Empty);
        Assert.That(Reading.Of(form with { BeginsInReasoning = false }, "<tool_call>\n<function=add>\n</function>\n</tool_call>"), Is.EqualTo(new[] { "text:<tool_call>\n<function=add>\n</function>\n</tool_call>" }));
    }

    [Test]
    public void Render_TurnsWithCalls_AreGivenToEveryTemplateAsItWantsThem()
    {
        // The first fails where a turn has no text, the second leaves calls out where it has one and takes arguments as text alone.
        ChatTurn[] turns = [new("user", "q"), new("assistant", null) { ToolCalls = [new("add", Json("""{"city": "Oslo"}"""), "abcdefgh1")] }];

        Assert.That(Load("qwen3-0.6b").Render(turns, WithTools).Text, Does.Contain("""{"name": "add", "arguments": {"city": "Oslo"}}"""));
        Assert.That(Load("deepseek-r1-distill").Render(turns, WithTools).Text, Does.Contain("add\n```json\n{\"city\": \"Oslo\"}"));
    }

    private static string Answer(ChatTemplates templates, ChatTurn turn)
    {
        var opening = templates.Render([new("user", "q")], WithTools).Text;
        var whole = templates.Render([new("user", "q"), turn], WithTools with { AddGenerationPrompt = false }).Text;
        var answer = whole[opening.AsSpan().CommonPrefixLength(whole)..];
        string[] ends = ["<|im_end|>", "<|eot_id|>", "</s>"];
        return answer[..ends.Select(end => answer.LastIndexOf(end, StringComparison.Ordinal)).Max()];
    }

    private static ChatTemplates Load(string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("data", "chat-templates", "templates", $"{name}.json")));
        return Reading.Templates(document.RootElement.GetProperty("template").GetString()!);
    }

    // Templates write JSON with their own spaces and escapes.
    private static string[] Same(string[] parts) => [.. parts.Select(part => part.IndexOf('{', StringComparison.Ordinal) is >= 0 and var at ? part[..at] + JsonSerializer.Serialize(Json(part[at..])) : part)];

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;
}
