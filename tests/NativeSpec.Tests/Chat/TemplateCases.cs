using System.Text;
using System.Text.Json;
using NativeSpec.Chat.Templates;

namespace NativeSpec.Tests.Chat;

/// <summary>Cases of chat templates with the text, or the kind of error, that Jinja gives.</summary>
internal static class TemplateCases
{
    /// <summary>The clock of every case.</summary>
    public static readonly TimeProvider Noon = new FixedClock(new DateTimeOffset(2025, 7, 10, 12, 0, 0, TimeSpan.Zero));

    private static readonly string[] Fields = ["messages", "tools", "documents", "add_generation_prompt"];

    /// <summary>Renders a case as its file describes it.</summary>
    public static RenderedChat Render(ChatTemplate template, JsonElement given)
    {
        Dictionary<string, JsonElement> data = [];
        Dictionary<string, string> tokens = [];
        foreach (var field in Fields)
        {
            if (given.TryGetProperty(field, out var value))
            {
                data[field] = value;
            }
        }

        foreach (var field in new[] { "bos_token", "eos_token" })
        {
            if (given.TryGetProperty(field, out var value))
            {
                _ = value.ValueKind == JsonValueKind.String ? tokens[field] = value.GetString()! : (data[field] = value).ToString();
            }
        }

        if (given.TryGetProperty("extra", out var extra))
        {
            foreach (var member in extra.EnumerateObject())
            {
                tokens.Remove(member.Name);
                data[member.Name] = member.Value;
            }
        }

        return template.Render(data, tokens, Noon);
    }

    /// <summary>What is wrong with a case's outcome; null where it is what Jinja's is.</summary>
    public static string? Check(string? template, JsonElement given)
    {
        template = given.TryGetProperty("template", out var own) ? own.GetString() : template;
        var isExtra = given.TryGetProperty("level", out var level) && level.GetString() == "extra";
        var isError = given.TryGetProperty("error", out var error);
        try
        {
            var text = Render(ChatTemplate.Parse(template!), given).Text;
            return isError ? $"expected an error ({error}), rendered '{text}'"
                : text == given.GetProperty("expected").GetString() ? null
                : Difference(given.GetProperty("expected").GetString()!, text);
        }
        catch (ChatTemplateException refused)
        {
            if (isExtra && refused.Fault is ChatTemplateFault.Syntax && refused.Line > 0 && refused.Column > 0)
            {
                return null; // other Jinja: right, or refused when it is read
            }

            return !isError ? $"expected {Shown(given.GetProperty("expected").GetString()!)}, refused: {refused.Message}"
                : (error.GetProperty("kind").GetString(), refused.Fault) switch
                {
                    ("syntax", ChatTemplateFault.Syntax or ChatTemplateFault.Limit) => null,
                    ("runtime", ChatTemplateFault.Rendering or ChatTemplateFault.Limit) => null,
                    ("raised", ChatTemplateFault.Raised) when refused.Message == error.GetProperty("message").GetString() => null,
                    _ => $"expected {error}, got {refused.Fault}: {refused.Message}",
                };
        }
    }

    /// <summary>The text that a hostile case's template is put together from.</summary>
    public static string Assemble(JsonElement parts)
    {
        var text = new StringBuilder();
        foreach (var part in parts.EnumerateArray())
        {
            text.Insert(text.Length, part[0].GetString()!, part[1].GetInt32());
        }

        return text.ToString();
    }

    private static string Difference(string expected, string actual)
    {
        var from = Math.Max(expected.AsSpan().CommonPrefixLength(actual) - 20, 0);
        return $"from character {from} on expected {Shown(expected[from..])}\n     got {Shown(actual[Math.Min(from, actual.Length)..])}";
    }

    private static string Shown(string text) => JsonSerializer.Serialize(text.Length > 120 ? text[..120] + "…" : text);

    private sealed class FixedClock(DateTimeOffset now) : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => now;
    }
}
