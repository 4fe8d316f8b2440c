using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace NativeSpec.Chat.Replies;

/// <summary>Calls of tools as models write them: an object with a name and arguments, or a list of these.</summary>
internal static class ToolCallText
{
    private const string IdCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    private const int LongestBeginning = 64;

    private static readonly JsonElement NoArguments = Parse("{}");

    private static readonly string[] FirstNames = ["name", "type", "function", "id", "arguments", "parameters"];

    /// <summary>The calls in a text; none where it is something else.</summary>
    /// <param name="text">A value of JSON, or what was to be one.</param>
    public static IReadOnlyList<ToolCallPart> Read(string text)
    {
        try
        {
            var value = Parse(text);
            JsonElement[] values = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
            ToolCallPart[] calls = [.. values.Select(Read).OfType<ToolCallPart>()];
            return calls.Length == values.Length ? calls : []; // all of them or none
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            return NameIn(text) is { } name ? [Broken(name, text, error.Message)] : [];
        }
    }

    /// <summary>Whether what a bare text begins with may become a call: what its first member is called says so.</summary>
    /// <returns>Null where that cannot be known yet.</returns>
    public static bool? MayBegin(ReadOnlySpan<char> text)
    {
        var rest = text.TrimStart(" \t\r\n[");
        if (rest.IsEmpty || rest is "{")
        {
            return text.Length > LongestBeginning ? false : null;
        }

        rest = rest[0] == '{' ? rest[1..].TrimStart() : "-";
        if (rest.IsEmpty)
        {
            return text.Length > LongestBeginning ? false : null;
        }

        if (rest[0] != '"')
        {
            return false;
        }

        var end = rest[1..].IndexOf('"');
        return end >= 0 ? FirstNames.Contains(rest[1..(end + 1)].ToString()) : text.Length > LongestBeginning ? false : null;
    }

    private static ToolCallPart? Read(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        var function = value.TryGetProperty("function", out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : value;
        if (!function.TryGetProperty("name", out var member) || member.ValueKind != JsonValueKind.String || member.GetString() is not { Length: > 0 } name)
        {
            return null;
        }

        if (!function.TryGetProperty("arguments", out var arguments) && !function.TryGetProperty("parameters", out arguments))
        {
            return Call(name, NoArguments);
        }

        return arguments.ValueKind switch
        {
            JsonValueKind.Object => Call(name, arguments),
            JsonValueKind.Null => Call(name, NoArguments),
            JsonValueKind.String => ReadText(name, arguments),
            var other => Call(name, arguments, $"the arguments are of the kind {other}; expected an object"),
        };
    }

    // Some models write the arguments as OpenAI's protocol has them: an object in a string.
    private static ToolCallPart ReadText(string name, JsonElement text)
    {
        try
        {
            var arguments = Parse(text.GetString()!);
            return arguments.ValueKind == JsonValueKind.Object ? Call(name, arguments) : Call(name, text, $"the arguments are of the kind {arguments.ValueKind}; expected an object");
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            return Call(name, text, error.Message);
        }
    }

    // No JSON; or a name or text that escapes spell and that is no Unicode, which is found where it is read.
    private static bool IsUnreadable(Exception error) => error is JsonException or InvalidOperationException;

    private static ToolCallPart Broken(string name, string text, string fault) => Call(name, JsonString(text), fault);

    private static ToolCallPart Call(string name, JsonElement arguments, string? fault = null)
        => new(new ChatToolCall(name, arguments, NewId()), fault); // an id of our own: models repeat theirs

    // Nine letters and digits: Mistral's templates take no other ids.
    private static string NewId() => RandomNumberGenerator.GetString(IdCharacters, 9);

    private static JsonElement Parse(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }

    private static JsonElement JsonString(string text) => Parse($"\"{JsonEncodedText.Encode(text)}\"");

    // The name of a call that breaks off or is no JSON later on.
    private static string? NameIn(string text)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text), isFinalBlock: false, default);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("name"u8))
                {
                    return reader.Read() && reader.TokenType == JsonTokenType.String && reader.GetString() is { Length: > 0 } name ? name : null;
                }
            }
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            // broken before the name, or in it
        }

        return null;
    }
}
