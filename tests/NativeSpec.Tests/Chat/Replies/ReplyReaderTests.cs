using NativeSpec.Chat.Replies;

namespace NativeSpec.Tests.Chat.Replies;

/// <summary>What an answer's text is made of, and that it does not matter how it is cut.</summary>
public sealed class ReplyReaderTests
{
    private static readonly ReplyMarkers Think = new("<think>", "</think>"), Hermes = new("<tool_call>", "</tool_call>"), Mistral = new("[TOOL_CALLS]", null), Python = new("<|python_tag|>", null);
    private static readonly HashSet<string> Tools = ["f", "weather"];
    private static readonly ReplyForm Any = new() { Reasoning = Think, CallMarkers = [Hermes, Mistral, Python], ToolNames = Tools };
    private static readonly ReplyForm InThought = Any with { BeginsInReasoning = true };
    private static readonly ReplyForm NoTools = new() { Reasoning = Think, CallMarkers = [Hermes, Mistral] };

    private static readonly object[][] Answers =
    [
        [Any, "Hello, world.", "text:Hello, world."],
        [Any, " \n Hello \n ", "text: \n Hello \n "],
        [Any, "", ""],
        [ReplyForm.TextOnly, "<think>a</think>{\"name\": \"f\"}", "text:<think>a</think>{\"name\": \"f\"}"],

        // Thoughts
        [Any, "<think>\nLet me see.\n</think>\n\nYes.", "thought:Let me see.", "text:Yes."],
        [Any, "<think>\n\n</think>\n\nYes.", "text:Yes."],
        [Any, "  <think>a < b </thin k></think>Yes", "thought:a < b </thin k>", "text:Yes"],
        [Any, "<think>never done \n", "thought:never done"],
        [Any, "The tag <think> opens one.", "text:The tag <think> opens one."],
        [Any, "<thin", "text:<thin"],
        [InThought, "\nhm\n</think>\n\nYes.", "thought:hm", "text:Yes."],
        [InThought, "hm </th", "thought:hm </th"],
        [InThought, "</think>Yes", "text:Yes"],
        [InThought, "x</think> <think>y</think>", "thought:x", "text:<think>y</think>"],
        [NoTools, "<think>a</think> <tool_call>{\"name\":\"f\"}</tool_call>", "thought:a", "text:<tool_call>{\"name\":\"f\"}</tool_call>"],
        [NoTools, "{\"name\": \"f\", \"arguments\": {}}", "text:{\"name\": \"f\", \"arguments\": {}}"],

        // Hermes
        [Any, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"}\"]}}\n</tool_call>", "call:f{\"a\": [1, \"}\"]}"],
        [Any, "I look.\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"arguments\":{\"x\":1},\"name\":\"g\"}\n</tool_call>\n", "text:I look.", "call:f{}", "call:g{\"x\":1}"],
        [Any, "<think>a</think>\n<tool_call>{\"name\":\"f\"}</tool_call> Done.", "thought:a", "call:f{}", "text:Done."],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":\"</tool_call> \\\" {\"}}</tool_call>", "call:f{\"s\":\"</tool_call> \\\" {\"}"],
        [Any, "<tool_call>[{\"name\":\"f\",\"parameters\":{\"a\":1}},{\"name\":\"f\"}]</tool_call>", "call:f{\"a\":1}", "call:f{}"],
        [Any, "<tool_call>{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":2}\"}}</tool_call>", "call:f{\"a\":2}"],
        [Any, "<tool_call>{\"name\":\"f\"}</tool_call> {\"name\":\"f\"}\n</tool_call> ", "call:f{}", "call:f{}"],
        [Any, "The <tool_call> tag, {\"name\": 1}.", "text:The <tool_call> tag, {\"name\": 1}."],
        [Any, "a <tool_cal", "text:a <tool_cal"],
        [Any, "x\n<tool_call>\n", "text:x\n<tool_call>\n"],
        [Any, "<tool_call>{\"no\":\"name\"}</tool_call>!", "text:<tool_call>{\"no\":\"name\"}</tool_call>!"],

        // Broken
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\": }}</tool_call>ok", "fault:f\"{\\u0022name\\u0022:\\u0022f\\u0022,\\u0022arguments\\u0022:{\\u0022a\\u0022: }}\"", "text:ok"],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}</tool_call>ok", "fault:f\"{\\u0022name\\u0022:\\u0022f\\u0022,\\u0022arguments\\u0022:{\\u0022a\\u0022:1}\"", "text:ok"],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"1}}</tool_call>ok", "fault:f\"{\\u0022name\\u0022:\\u0022f\\u0022,\\u0022arguments\\u0022:{\\u0022a\\u0022:\\u00221}}\"", "text:ok"],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":", "fault:f\"{\\u0022name\\u0022:\\u0022f\\u0022,\\u0022arguments\\u0022:{\\u0022a\\u0022:\""],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>", "fault:f[1]"],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":\"\\ud800\"}</tool_call>", "fault:f\"\\ud800\""],
        [Any, "<tool_call>{\"name\":\"\\ud800\",\"arguments\":{}}</tool_call>", "text:<tool_call>{\"name\":\"\\ud800\",\"arguments\":{}}</tool_call>"],
        [Any, "<tool_call>{\"name\":\"f\",\"arguments\":\"a=1\"}</tool_call>", "fault:f\"a=1\""],
        [Any, "<tool_call>{\"na", "text:<tool_call>{\"na"],

        // Mistral, Llama
        [Any, "[TOOL_CALLS] [{\"name\":\"f\",\"arguments\":{},\"id\":\"x\"}, {\"name\":\"weather\",\"arguments\":{\"a\":1}}] ", "call:f{}", "call:weather{\"a\":1}"],
        [Any, "<|python_tag|>{\"name\":\"f\",\"parameters\":{}}; {\"name\":\"f\",\"parameters\":{\"b\":2}}", "call:f{}", "call:f{\"b\":2}"],
        [Any, "<|python_tag|>print('x')", "text:<|python_tag|>print('x')"],

        // Bare
        [Any, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "call:f{\"a\": 1}"],
        [Any, "<think>a</think>\n\n{\"name\": \"f\"}\n; {\"name\": \"weather\"}", "thought:a", "call:f{}", "call:weather{}"],
        [Any, "[{\"name\":\"f\",\"arguments\":{}}]", "call:f{}"],
        [Any, " {\"name\": \"Ada\", \"arguments\": {}} is a name", "text: {\"name\": \"Ada\", \"arguments\": {}} is a name"],
        [Any, "{\"city\": \"Oslo\"}", "text:{\"city\": \"Oslo\"}"],
        [Any, "{\"name\": \"f\", oops}", "text:{\"name\": \"f\", oops}"],
        [Any, "{\"name\": \"f\"", "text:{\"name\": \"f\""],
        [Any, "[1, 2]", "text:[1, 2]"],
        [Any, "[Oslo](link) <tool_call>{\"name\":\"f\"}", "text:[Oslo](link)", "call:f{}"],
        [Any, "{% if %}", "text:{% if %}"],
    ];

    [TestCaseSource(nameof(Answers))]
    public void Read_AnAnswer_GivesItsPartsHoweverItIsCut(ReplyForm form, string answer, params string[] expected)
    {
        expected = expected is [""] ? [] : expected;

        Assert.That(Reading.Of(form, answer), Is.EqualTo(expected), "whole");
        Assert.That(Reading.Of(form, answer.Select(c => c.ToString())), Is.EqualTo(expected), "by character");
        for (var cut = 1; cut < answer.Length; cut++)
        {
            Assert.That(Reading.Of(form, answer[..cut], "", answer[cut..]), Is.EqualTo(expected), $"cut before character {cut}");
        }
    }

    [Test]
    public void Read_RandomAnswers_GiveTheSamePartsHoweverTheyAreCut()
    {
        // Pieces of markers, JSON and text in any order: most are broken somewhere.
        string[] words =
        [
            "<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<tool_", "call>", "</th", "[TOOL", "<", "{\"name\": \"f\"", ", \"arguments\": {\"a\": ", "\"x\"", "}}", "}", "{", "[", "]",
            "\"", "\\", "\n", " ", " \n ", "word", ";", ",", "{\"name\":\"f\",\"arguments\":{}}", "{\"name\":\"g\"}", "1", "é😀",
        ];
        var random = new Random(5);
        for (var i = 0; i < 20_000; i++)
        {
            var answer = string.Concat(Enumerable.Range(0, random.Next(1, 14)).Select(_ => words[random.Next(words.Length)]));
            var form = random.Next(3) switch { 0 => Any, 1 => InThought, _ => NoTools };
            var whole = Reading.Of(form, answer);
            List<string> pieces = [];
            for (var at = 0; at < answer.Length;)
            {
                var length = Math.Min(random.Next(4), answer.Length - at);
                pieces.Add(answer.Substring(at, length));
                at += length;
            }

            Assert.That(Reading.Of(form, pieces), Is.EqualTo(whole), answer);
            if (!whole.Any(part => part.StartsWith("call:", StringComparison.Ordinal) || part.StartsWith("fault:", StringComparison.Ordinal)))
            {
                // Without calls nothing but the tags of a thought and white space is lost.
                Assert.That(Bare(string.Concat(whole.Select(part => part[(part.IndexOf(':', StringComparison.Ordinal) + 1)..]))), Is.EqualTo(Bare(WithoutThought(form, answer))), answer);
            }
        }

        static string Bare(string text) => string.Concat(text.Where(c => !char.IsWhiteSpace(c)));

        static string WithoutThought(ReplyForm form, string answer)
        {
            var rest = answer.TrimStart();
            var opens = rest.StartsWith("<think>", StringComparison.Ordinal) && !form.BeginsInReasoning;
            rest = opens ? rest["<think>".Length..] : rest;
            var end = opens || form.BeginsInReasoning ? rest.IndexOf("</think>", StringComparison.Ordinal) : -1;
            return end < 0 ? rest : rest.Remove(end, "</think>".Length);
        }
    }

    [TestCase("Hello <", "Hello")]
    [TestCase("Hello world", "Hello world")]
    [TestCase("a < b and {c}", "a < b and {c}")]
    [TestCase("a <tool_call", "a")]
    [TestCase("a <tool_cast", "a <tool_cast")]
    [TestCase("{\"city\":", "{\"city\":")]
    [TestCase("<think>some thought </thi", "some thought")]
    public void Read_TextThatCannotBecomeMore_IsGivenAtOnce(string beginning, string given)
        => Assert.That(string.Concat(new ReplyReader(Any).Read(beginning).Select(part => part is TextPart text ? text.Text : ((ReasoningPart)part).Text)), Is.EqualTo(given));

    [Test]
    public void Read_ACall_IsGivenWhenItIsWhole_AndHasAnIdOfItsOwn()
    {
        var reader = new ReplyReader(Any);

        var before = reader.Read("[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{},\"id\":\"same\"},{\"name\":\"f\",\"arguments\":{},\"id\":\"same\"}");
        var calls = reader.Read("]").Cast<ToolCallPart>().Select(part => part.Call.Id!).ToArray();

        Assert.That(before, Is.Empty);
        Assert.That(calls, Has.Length.EqualTo(2).And.Unique);
        Assert.That(calls, Has.All.Match("^[A-Za-z0-9]{9}$"), "Mistral's templates take no others");
    }

    [Test]
    public void Read_ALongCallInManyPieces_TakesTimeInItsLength()
    {
        // A megabyte in pieces of four characters: what looks at everything again with each piece would not end in this test's lifetime.
        var argument = new string('x', 1_000_000);
        var text = "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"" + argument + "\"}}</tool_call>";

        var parts = Reading.Of(Any, text.Chunk(4).Select(chunk => new string(chunk)));

        Assert.That(parts, Is.EqualTo(new[] { $$"""call:f{"a":"{{argument}}"}""" }));
    }
}
