using System.Text.Json;
using NativeSpec.Chat;
using NativeSpec.Loading;

namespace NativeSpec.Cli.Chatting;

/// <summary>A conversation in a file: a JSON array of messages, as OpenAI's protocol has them.</summary>
internal static class ChatFile
{
    /// <summary>Writes the turns, the system's first.</summary>
    public static void Write(string path, string? system, IReadOnlyList<ChatTurn> turns) => AtomicFile.Write(path, stream =>
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        foreach (var turn in system is null ? turns : [new ChatTurn("system", system), .. turns])
        {
            json.WriteStartObject();
            json.WriteString("role", turn.Role);
            json.WriteString("content", turn.Content);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static (string? System, List<ChatTurn> Turns) Read(string path)
    {
        var length = new FileInfo(path) is { Exists: true, Length: var bytes } ? bytes : throw new FileNotFoundException($"there is no file '{path}'");
        if (length > LoadLimits.Default.MaxTextLength)
        {
            throw new InvalidDataException($"'{path}' has {length} bytes; a conversation has at most {LoadLimits.Default.MaxTextLength}");
        }

        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            List<ChatTurn> turns = [.. json.RootElement.EnumerateArray().Select(turn => new ChatTurn(turn.GetProperty("role").GetString()!, turn.GetProperty("content").GetString()))];
            var system = turns is [{ Role: "system" }, ..] ? turns[0].Content : null;
            turns.RemoveRange(0, system is null ? 0 : 1);
            for (var i = 0; i < turns.Count; i++)
            {
                var expected = i % 2 == 0 ? "user" : "assistant";
                if (turns[i].Role != expected || turns[i].Content is null)
                {
                    throw new InvalidDataException($"'{path}' is no conversation: message {i + 1} after the system's is one of '{turns[i].Role}'; expected '{expected}' and a text");
                }
            }

            return turns.Count % 2 == 0 ? (system, turns) : throw new InvalidDataException($"'{path}' ends with a message that is not answered; send it as a message");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new InvalidDataException($"'{path}' is no conversation: expected a JSON array of objects with role and content ({error.Message})");
        }
    }
}
