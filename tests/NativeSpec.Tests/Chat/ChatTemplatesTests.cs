using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;
using NativeSpec.Chat.Templates;
using NativeSpec.Engine;
using NativeSpec.Loading;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Chat;

/// <summary>Where templates come from, and conversations through the engine.</summary>
public sealed class ChatTemplatesTests
{
    private static readonly ChatTurn[] Turns = [new("system", "be brief"), new("user", "hello in the"), new("assistant", "hello"), new("user", "the")];

    private TestFolder _folder = null!;

    [SetUp]
    public void Make() => _folder = new TestFolder();

    [TearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public void Load_SeveralFiles_LaterOnesWinAndToolsHaveTheirOwn()
    {
        Write("tokenizer_config.json", """
            {"bos_token": {"content": "<s>", "special": true}, "eos_token": "</s>", "chat_template": [{"name": "default", "template": "old"}, {"name": "tool_use", "template": "tools {{ tools|length }}"}]}
            """);
        Write("chat_template.jinja", "{{ bos_token }}{{ messages|length }}{{ eos_token }}");
        Directory.CreateDirectory(Path.Combine(_folder.Path, "additional_chat_templates"));
        Write("additional_chat_templates/rag.jinja", "rag");

        var templates = ChatTemplates.Load(_folder.Path);

        Assert.That(templates.Names, Is.EquivalentTo(new[] { "default", "tool_use", "rag" }));
        Assert.That(templates.Render(Turns).Text, Is.EqualTo("<s>4</s>"));
        Assert.That(templates.Render(Turns).IsOfTemplate(0, 3), Is.True, "the tokenizer's own token may be one");
        Assert.That(templates.Render(Turns, new() { Tools = [JsonSerializer.SerializeToElement(new { type = "function" })] }).Text, Is.EqualTo("tools 1"));
        Assert.That(templates.Render(Turns, new() { Template = "rag" }).Text, Is.EqualTo("rag"));
        Assert.That(() => templates.Render(Turns, new() { Template = "nope" }), Throws.InvalidOperationException.With.Message.Contains("'nope'").And.Message.Contains("rag"));
    }

    [Test]
    public void Load_ABrokenTemplate_IsRefusedWithFileAndPlace()
    {
        Write("chat_template.jinja", "{% for m in messages %}\n  {{ m.content | nofilter }}\n{% endfor %}");

        Assert.That(
            () => ChatTemplates.Load(_folder.Path),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("chat_template.jinja").And.Message.Contains("line 2, column 16").And.Message.Contains("nofilter"));
    }

    [Test]
    public void Render_WithoutATemplate_SaysWhichThereAre()
        => Assert.That(() => ChatTemplates.Load(_folder.Path).Render(Turns), Throws.InvalidOperationException.With.Message.Contains("chatml").And.Message.Contains("no chat template"));

    [Test]
    public void WithBuiltIn_Each_RendersAConversation([ValueSource(typeof(ChatTemplates), nameof(ChatTemplates.BuiltInNames))] string name)
    {
        Write("tokenizer_config.json", """{"bos_token": "<s>", "eos_token": "</s>"}""");

        ChatTurn[] turns = [new("system", "first"), new("user", "second"), new("assistant", "third"), new("user", "fourth")];
        var rendered = ChatTemplates.Load(_folder.Path).WithBuiltIn(name).Render(turns);

        var places = turns.Select(turn => rendered.Text.IndexOf(turn.Content!, StringComparison.Ordinal)).ToArray();
        Assert.That(places, Is.Ordered.And.All.GreaterThanOrEqualTo(0), rendered.Text);
        Assert.That(places.Zip(turns).All(pair => !rendered.IsOfTemplate(pair.First, pair.First + pair.Second.Content!.Length)), Is.True);
        Assert.That(rendered.Text, Does.Not.Contain("\n\n\n").And.Not.Contain("{"), rendered.Text);
    }

    [Test]
    public void WithBuiltIn_Plain_IsTextAlone()
        => Assert.That(ChatTemplates.Load(_folder.Path).WithBuiltIn("plain").Render(Turns).Text, Is.EqualTo("be brief\n\nUser: hello in the\nAssistant: hello\nUser: the\nAssistant:"));

    [Test]
    public void Render_Thoughts_CallsAndAnswersOfTools_AreWhereTemplatesLookForThem()
    {
        var templates = ChatTemplates.Load(_folder.Path).With("{{ messages|tojson }}");

        var rendered = templates.Render(
        [
            new("assistant", null) { Reasoning = "hm", ToolCalls = [new("add", JsonSerializer.SerializeToElement(new { a = 1 }), "c1")] },
            new("tool", "2") { Name = "add", ToolCallId = "c1" },
        ]);

        Assert.That(rendered.Text, Is.EqualTo(
            """[{"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "2", "name": "add", "tool_call_id": "c1"}]"""));
    }

    [Test]
    public async Task ChatAsync_IsTheRenderedPromptContinued_AndEndsWhereTheTemplateEndsAnAnswer()
    {
        var options = new GenerationOptions { MaxTokens = 30, Temperature = 1, Seed = 3, LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100 } };
        using var engine = InferenceEngine.Load(_folder.Path, new() { ChatTemplate = "plain", ProfileDirectory = null, MaxContext = 256 });

        var prompt = engine.ChatTemplates.Render(Turns).Encode(engine.Tokenizer);
        var continued = await engine.CompleteAsync(prompt, options with { StopStrings = ["\nUser:"] });
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => engine.CompleteChatAsync(Turns, options)));

        Assert.That(answers.Select(answer => answer.Ids), Has.All.EqualTo(continued.Ids));
    }

    [Test]
    public void EndTokens_OfATemplate_AreWhatItWritesBehindAnAnswer()
    {
        using var engine = InferenceEngine.Load(_folder.Path, new() { ProfileDirectory = null, MaxContext = 256 });
        var end = engine.Tokenizer.TokenText(TestFolder.TokenizersEndOfText);
        Assert.That(engine.Tokenizer.IsSpecial(TestFolder.TokenizersEndOfText), Is.True);

        var written = engine.ChatTemplates.With("{% for m in messages %}{{ m.content }}\n" + end + "{% endfor %}").EndTokens(engine.Tokenizer);
        var none = engine.ChatTemplates.With("{% for m in messages %}{{ m.content }} and so on{% endfor %}").EndTokens(engine.Tokenizer);
        var refused = engine.ChatTemplates.With("{{ raise_exception('no') }}").EndTokens(engine.Tokenizer);

        Assert.That(written, Is.EqualTo(new[] { TestFolder.TokenizersEndOfText }));
        Assert.That(none.Concat(refused), Is.Empty);
    }

    [Test]
    public void WhatARequestsVariables_ChangeOfATemplate_IsThatRequestsAlone()
    {
        const string Template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' and not loud %}{{ eos_token }}{% endif %}{% for c in m.tool_calls or [] %}{{ c.function.arguments.a if not loud else '' }}{% endfor %}{% endfor %}";
        Write("tokenizer_config.json", """{"eos_token": "<|end_of_text|>"}""");
        using var engine = InferenceEngine.Load(_folder.Path, new() { ChatTemplate = Template, ProfileDirectory = null, MaxContext = 256 });
        var loud = new ChatFormat { Variables = new Dictionary<string, JsonElement> { ["loud"] = JsonSerializer.SerializeToElement(true) } };
        ChatTurn[] call = [new("assistant", null) { ToolCalls = [new("add", JsonSerializer.SerializeToElement(new { a = "one" }), "c1")] }];

        var first = engine.PrepareChat(Turns, loud);
        _ = engine.ChatTemplates.Render(call, loud);

        Assert.That(engine.PrepareChat(Turns).EndIds, Is.EqualTo(new[] { TestFolder.TokenizersEndOfText }));
        Assert.That(first.EndIds, Is.EqualTo(new[] { TestFolder.TokenizersEndOfText }), "an answer that does not end there loses nothing by it");
        Assert.That(engine.ChatTemplates.Render(call).Text, Does.Contain("one"));
    }

    [TestCase("messages")]
    [TestCase("tools")]
    [TestCase("documents")]
    [TestCase("add_generation_prompt")]
    [TestCase("eos_token")]
    public void Variables_DoNotTakeThePlaceOfTheConversationOrTheTokens(string name)
        => Assert.That(() => new ChatFormat { Variables = new Dictionary<string, JsonElement> { [name] = JsonSerializer.SerializeToElement("x") } }, Throws.ArgumentException.With.Message.Contains(name));

    [Test]
    public void WithBuiltIn_Plain_ShowsTools()
    {
        var tool = JsonSerializer.SerializeToElement(new { type = "function", function = new { name = "add", description = "adds" } });

        var rendered = ChatTemplates.Load(_folder.Path).WithBuiltIn("plain").Render([new("user", "hello")], new ChatFormat { Tools = [tool] });

        Assert.That(rendered.Text, Is.EqualTo("""
            Tools. To call one, answer with a line such as {"name": "NAME", "arguments": {}}
            {"name": "add", "description": "adds"}

            User: hello
            Assistant:
            """));
    }

    [Test]
    public void Render_CallsWithoutTools_AreGivenAsTheirOwnTemplateTakesThem()
    {
        // The default template takes arguments as text alone, the one for tools as an object.
        Write("tokenizer_config.json", """
            {"chat_template": [{"name": "default", "template": "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }} {{ c.function.arguments.strip() }}{% endfor %}{% endfor %}"},
                               {"name": "tool_use", "template": "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.name }} {{ c.function.arguments.a }}{% endfor %}{% endfor %}"}]}
            """);
        var templates = ChatTemplates.Load(_folder.Path);
        ChatTurn[] turns = [new("user", "q"), new("assistant", "") { ToolCalls = [new("f", JsonSerializer.SerializeToElement(new { a = 1 }), "c1")] }];

        Assert.That(templates.Render(turns).Text, Is.EqualTo("""qf {"a":1}"""));
        Assert.That(templates.Render(turns, new() { Tools = [JsonSerializer.SerializeToElement(new { type = "function" })] }).Text, Is.EqualTo("f 1"));
    }

    [Test]
    public async Task ChatAsync_AMarkerThatIsAControlToken_StandsInTheText()
    {
        using var probe = InferenceEngine.Load(_folder.Path, new() { ProfileDirectory = null, MaxContext = 256 });
        var marker = probe.Tokenizer.TokenText(TestFolder.TokenizersEndOfText);
        var template = "{% for m in messages %}{{ m.content }}{% if m.tool_calls %}" + marker + "{{ m.tool_calls[0].function|tojson }}{% endif %}{% endfor %}{{ tools|tojson }}";
        using var engine = InferenceEngine.Load(_folder.Path, new() { ChatTemplate = template, ProfileDirectory = null, MaxContext = 512 });
        var options = new GenerationOptions { MaxTokens = 3, IgnoreEndOfText = true, LogitBias = new Dictionary<int, float> { [TestFolder.TokenizersEndOfText] = 100 } };
        var format = new ChatFormat { Tools = [JsonSerializer.SerializeToElement(new { type = "function", function = new { name = "f" } })] };

        var form = engine.ReplyForm(format);
        var withTools = await engine.CompleteChatAsync(Turns, options, format);
        var without = await engine.CompleteChatAsync(Turns, options);

        Assert.That(form.CallMarkers, Is.EqualTo(new ReplyMarkers[] { new(marker, null) }));
        Assert.That(form.MarkerIds, Is.EqualTo(new[] { TestFolder.TokenizersEndOfText }));
        Assert.That(withTools.Text, Is.EqualTo(marker + marker + marker));
        Assert.That(without.Text, Is.Empty, "of other control tokens nobody sees anything");
    }

    [Test]
    public void Render_Cancelled_Ends()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();

        Assert.That(
            () => ChatTemplate.Parse("{% for i in range(9999) %}{{ i }}{% endfor %}").Render(new Dictionary<string, JsonElement>(), cancellationToken: cancelled.Token),
            Throws.InstanceOf<OperationCanceledException>());
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder.Path, name), text);
}
