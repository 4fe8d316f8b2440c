using System.Text;
using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;

namespace NativeSpec.Tests.Chat.Replies;

/// <summary>Answers read in pieces, and what came of them in a form that can be compared.</summary>
internal static class Reading
{
    /// <summary>The parts of an answer: <c>text:…</c>, <c>thought:…</c>, <c>call:name{…}</c>, <c>fault:name…</c>, neighbours of one kind joined.</summary>
    public static string[] Of(ReplyForm form, params IEnumerable<string> pieces)
    {
        var reader = new ReplyReader(form);
        return Joined([.. pieces.SelectMany(reader.Read), .. reader.End()]);
    }

    public static string[] Joined(IEnumerable<ReplyPart> parts)
    {
        List<(string Kind, StringBuilder Text)> joined = [];
        foreach (var part in parts)
        {
            var (kind, text) = part switch
            {
                TextPart spoken => ("text:", spoken.Text),
                ReasoningPart thought => ("thought:", thought.Text),
                ToolCallPart { Fault: null } call => ("call:", call.Call.Name + call.Call.Arguments.GetRawText()),
                ToolCallPart call => ("fault:", call.Call.Name + call.Call.Arguments.GetRawText()),
                _ => throw new AssertionException(part.ToString()),
            };
            Assert.That(text, Is.Not.Empty);
            if (joined.Count == 0 || joined[^1].Kind != kind || kind is "call:" or "fault:")
            {
                joined.Add((kind, new StringBuilder()));
            }

            joined[^1].Text.Append(text);
        }

        return [.. joined.Select(part => part.Kind + part.Text)];
    }

    /// <summary>A tool as OpenAI's protocol describes it.</summary>
    public static JsonElement Tool(string name) => JsonSerializer.SerializeToElement(
        new { type = "function", function = new { name, description = "d", parameters = new { type = "object", properties = new { city = new { type = "string", description = "c" } }, required = new[] { "city" } } } });

    /// <summary>Templates of a text, with the tokens that most of them name.</summary>
    public static ChatTemplates Templates(string template)
    {
        var folder = Directory.CreateTempSubdirectory("nativespec-");
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "tokenizer_config.json"), """{"bos_token": "<s>", "eos_token": "</s>"}""");
            return ChatTemplates.Load(folder.FullName).With(template);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
