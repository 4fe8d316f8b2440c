using System.Text;
using NativeSpec.Chat;
using NativeSpec.Cli.Chatting;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Cli.Tests;

public sealed class ChatCommandTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder(seed: 7, poisoned: false);

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task Messages_AreAnsweredAsTheEngineAnswersTheWholeConversation()
    {
        using var engine = InferenceEngine.Load(_folder.Path, new EngineOptions { ChatTemplate = "plain", MaxSequences = 1 });
        List<ChatTurn> turns = [new("system", "Be kind.")];
        List<string> expected = [];
        foreach (var message in (string[])["Hello", "A longer\nmessage", "What did\nI say?"])
        {
            turns.Add(new("user", message));
            var text = (await engine.CompleteChatAsync(turns, new GenerationOptions { MaxTokens = 12 })).Text.Trim();
            turns.Add(new("assistant", text));
            expected.Add(text);
        }

        var run = await Chat("Hello\n\n\"\"\"\nA longer\nmessage\n\"\"\"\nWhat did\\\nI say?\n/quit\nnever read\n", "--system", "Be kind.");

        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")));
        Assert.That(Lines(run.Out), Is.EqualTo(Lines(string.Join('\n', expected))));
    }

    [Test]
    public async Task Colors_DoNotChangeTheText()
    {
        const string Script = "abc abc abc\n/set colors on\n/undo\nabc abc abc\n";
        var run = await Chat(Script, "--max-tokens", "40");
        var answers = run.Out.Split("colors is on\n");
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(answers, Has.Length.EqualTo(2));
        Assert.That(answers[1], Is.EqualTo(answers[0]).And.Not.Empty);
    }

    [Test]
    public async Task Origins_WhileItIsWritten_AreThoseOfTheWholeTrace()
    {
        using var engine = InferenceEngine.Load(_folder.Path, new EngineOptions { MaxSequences = 1, DraftModels = [_folder.Path] });
        var prompt = engine.Tokenizer.Encode("abc abc");
        using var lines = new MemoryStream();
        using var origins = new TokenOrigins(engine.Tokenizer, prompt.Length);
        using var trace = new SpeculationTrace(lines, engine.Tokenizer);
        var options = new GenerationOptions { MaxTokens = 40, AddSpecial = false, Speculation = new SpeculationOptions { Drafters = ["draft"], Unplanned = true } };

        List<(string Text, string? Drafter)> parts = [];
        await foreach (var piece in engine.GenerateAsync(prompt, options with { Speculation = options.Speculation with { Trace = origins.Trace } }))
        {
            parts.AddRange(origins.Split(piece.Ids, piece.Text));
        }

        var whole = await engine.CompleteAsync(prompt, options with { Speculation = options.Speculation with { Trace = trace } });
        var expected = TokenSources.Read(lines.GetBuffer().AsSpan(0, (int)lines.Length), whole.Ids.Count);
        Assert.That(string.Concat(parts.Select(part => part.Text)), Is.EqualTo(whole.Text));
        Assert.That(expected, Has.Some.EqualTo("draft").And.Some.Null);
        Assert.That(CharactersBy(parts, "draft"), Is.EqualTo(CharactersBy([.. DemoTexts(engine, whole.Ids).Zip(expected)], "draft")));
    }

    [Test]
    public async Task ControlC_InAnAnswer_EndsItAndNotTheChat()
    {
        using var output = new StringWriter();
        var terminal = new Terminal
        {
            OpenInput = () => new MemoryStream(Encoding.UTF8.GetBytes("tell me\n/history\n")),
            Out = output,
            Error = TextWriter.Null,
            IsOutRedirected = true,
            IsErrorRedirected = true,
        };
        Assert.That(terminal.Interrupts.Raise(), Is.False, "nothing takes it yet");
        var running = CommandLine.RunAsync(["chat", "--model", _folder.Path, "--chat-template", "plain", "--temperature", "0"], terminal);
        while (!running.IsCompleted && !terminal.Interrupts.Raise())
        {
            await Task.Delay(1);
        }

        Assert.That(await running, Is.Zero);
        Assert.That(output.ToString(), Does.Contain(" [stopped]\nuser: tell me\nassistant: "));
        Assert.That(terminal.Interrupts.Raise(), Is.False, "it is the command's again");
    }

    [Test]
    public async Task AThought_IsShownApart_AndGivenBackAsOne()
    {
        // The prompt opens a thought, which this model never closes: all of its answer is one.
        const string Template = "{% for m in messages %}{{ m.role }}:{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:<think>{% endif %}";
        var file = Path.Combine(_folder.Path, "thinks.jinja");
        File.WriteAllText(file, Template);
        var run = await CliRun.WithInput("Hello\n/history\n", "chat", "--model", _folder.Path, "--chat-template", file, "--temperature", "0", "--max-tokens", "9");
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Out.ReplaceLineEndings("\n"), Does.EndWith("\nuser: Hello\nassistant: \n"), "a thought is no text");
        Assert.That(run.Out.Length, Is.GreaterThan("\nuser: Hello\nassistant: \n".Length));
    }

    [TestCase("/set temperature 0,7", "temperature: '0,7' is no number")]
    [TestCase("/set temperature -1", "Temperature is -1")]
    [TestCase("/set speculate draft", "draft needs a draft model")]
    [TestCase("/set speculate medusa", "there is no drafter 'medusa' in this chat")]
    [TestCase("/set colors maybe", "colors is on or off")]
    [TestCase("/set warmth 1", "there is no setting 'warmth'")]
    [TestCase("/sett", "there is no /sett")]
    [TestCase("/load nowhere.json", "there is no file 'nowhere.json'")]
    [TestCase("/undo", "there is no message yet")]
    [TestCase("/retry", "there is no message yet")]
    [TestCase("/stats", "there is no whole answer yet")]
    public async Task AWrongCommand_IsExplained_AndTheChatGoesOn(string command, string expected)
    {
        var run = await Chat($"{command}\n/set max-tokens 3\n");
        Assert.That((run.Code, run.Out), Is.EqualTo((1, "max-tokens is 3" + Environment.NewLine)), "and a script learns of it by the exit code");
        Assert.That(run.Error, Does.StartWith("nativespec: ").And.Contain(expected));
    }

    [Test]
    public async Task AConversationLongerThanTheContext_IsExplained_AndCanBeUndone()
    {
        var run = await Chat($"{new string('a', 400)}\n/undo\nshort\n/history\n", "--context", "64");
        Assert.That(run.Error, Does.Contain("/undo or /reset makes room").And.Contain("there is no message yet"));
        Assert.That(run.Out, Does.Contain("user: short"), run.Error);
    }

    [Test]
    public async Task ASavedChat_LoadsAsItWas()
    {
        var file = Path.Combine(_folder.Path, "chat.json");
        var run = await Chat($"Hé\n/save {file}\n/history\n/reset\n/history\n/load {file}\n/history\n", "--system", "Be kind.");
        Assert.That(run.Code, Is.Zero, run.Error);
        var parts = run.Out.Split("2 turns" + Environment.NewLine);
        Assert.That(parts[0], Does.EndWith(parts[1]).And.Contain("user: Hé"));
        File.WriteAllText(file, """[{"role": "assistant", "content": "first"}]""");
        Assert.That((await Chat($"/load {file}\n")).Error, Does.Contain("expected 'user'"));
    }

    [Test]
    public async Task AModelWithoutATemplate_IsRefusedBeforeAnyMessage()
    {
        var run = await CliRun.WithInput("Hello\n", "chat", "--model", _folder.Path);
        Assert.That((run.Code, run.Out), Is.EqualTo((1, "")));
        Assert.That(run.Error, Does.Contain("has no chat template").And.Contain("plain"));
    }

    private Task<CliRun> Chat(string input, params string[] options)
        => CliRun.WithInput(CliRun.Utf8(input), ["chat", "--model", _folder.Path, "--chat-template", "plain", "--temperature", "0", .. options.Contains("--max-tokens") ? options : [.. options, "--max-tokens", "12"]]);

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static string CharactersBy(List<(string Text, string? Drafter)> parts, string drafter)
        => string.Concat(parts.Select(part => part.Drafter == drafter ? part.Text : new string('.', part.Text.Length)));

    private static string[] DemoTexts(InferenceEngine engine, IReadOnlyList<int> ids)
    {
        var detokenizer = engine.Tokenizer.CreateDetokenizer();
        return [.. ids.Select(id =>
        {
            var bytes = new System.Buffers.ArrayBufferWriter<byte>();
            detokenizer.Append(id, bytes);
            return Encoding.UTF8.GetString(bytes.WrittenSpan);
        })];
    }
}
