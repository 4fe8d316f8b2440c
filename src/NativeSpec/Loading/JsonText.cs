using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace NativeSpec.Loading;

/// <summary>Parses the JSON files of a model, which people's tools write: what RFC 8259 allows, and with it a byte order mark and the
/// numbers <c>NaN</c>, <c>Infinity</c> and <c>-Infinity</c> of Python's json module. Such a number is none that a reader takes; where
/// nobody asks for it, it does no harm.</summary>
internal static class JsonText
{
    // Numbers beyond double's range, so that they parse as infinite and are refused wherever a number is read.
    private const string NaN = "9e99999990", Infinity = "9e99999991";
    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>Parses a whole file, whose root must be an object without duplicate names.</summary>
    /// <exception cref="ModelFormatException">It is something else; the message says what, where that can be told.</exception>
    public static JsonDocument ParseObject(string file, ReadOnlyMemory<byte> utf8)
    {
        var start = utf8.Span[..Math.Min(utf8.Length, FileKind.Bytes)];
        if (FileKind.Find(start) is { } kind)
        {
            throw new ModelFormatException(file, kind);
        }

        utf8 = utf8[(utf8.Length - FileKind.WithoutMark(utf8.Span).Length)..];
        if (!Utf8.IsValid(utf8.Span))
        {
            throw new ModelFormatException(file, "is not valid UTF-8");
        }

        var json = WithPlainNumbers(utf8);
        try
        {
            CheckStrings(file, json.Span);
            var document = JsonDocument.Parse(json, Options);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            using (document)
            {
                throw new ModelFormatException(file, $"must be a JSON object; found {Describe(document.RootElement)}");
            }
        }
        catch (JsonException e)
        {
            var text = utf8.Span.TrimStart(" \t\r\n"u8) is not [(byte)'{' or (byte)'[', ..] ? FileKind.FindText(start) : null;
            throw new ModelFormatException(file, $"is not valid JSON: {e.Message}{(text is null ? "" : $" (it {text})")}", e);
        }
    }

    /// <summary>A value as it stands in the file, shortened.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => $"an array of {value.GetArrayLength()}",
        _ => value.GetRawText() switch { NaN => "NaN", Infinity => "Infinity", "-" + Infinity => "-Infinity", var raw => MessageText.Plain(raw) },
    };

    /// <summary>The text with Python's three numbers replaced; itself where it has none.</summary>
    private static ReadOnlyMemory<byte> WithPlainNumbers(ReadOnlyMemory<byte> utf8)
    {
        var text = utf8.Span;
        if (text.IndexOf("NaN"u8) < 0 && text.IndexOf("Infinity"u8) < 0)
        {
            return utf8;
        }

        using var plain = new MemoryStream(text.Length);
        var copied = 0;
        for (var i = 0; i < text.Length;)
        {
            var rest = text[i..];
            var before = i == 0 ? (byte)0 : text[i - 1];
            var number = rest[0] == (byte)'N' && IsWord(before, rest, "NaN"u8) ? NaN
                : rest[0] == (byte)'I' && IsWord(before, rest, "Infinity"u8) ? Infinity
                : null;
            var length = rest[0] == (byte)'"' ? StringLength(rest) : 1;
            if (number is not null)
            {
                plain.Write(text[copied..i]);
                plain.Write(Encoding.ASCII.GetBytes(number));
                length = number == NaN ? "NaN".Length : "Infinity".Length;
                copied = i + length;
            }

            i += length;
        }

        if (copied == 0)
        {
            return utf8;
        }

        plain.Write(text[copied..]);
        return plain.ToArray();
    }

    private static bool IsWord(byte before, ReadOnlySpan<byte> rest, ReadOnlySpan<byte> word) =>
        rest.StartsWith(word) && ":,[- \t\r\n"u8.Contains(before) && (rest.Length == word.Length || ",]} \t\r\n"u8.Contains(rest[word.Length]));

    // With its quotes; to the end of the text where the closing one is missing.
    private static int StringLength(ReadOnlySpan<byte> text)
    {
        for (var i = 1; i < text.Length; i++)
        {
            if (text[i] == (byte)'"')
            {
                return i + 1;
            }

            i += text[i] == (byte)'\\' ? 1 : 0;
        }

        return text.Length;
    }

    // JsonDocument decodes strings when they are asked for, and then throws if they cannot be: so ask once, here. What cannot be decoded is half of a surrogate pair,
    // \uD800 to \uDFFF.
    private static void CheckStrings(string file, ReadOnlySpan<byte> json)
    {
        if (json.IndexOf("\\ud"u8) < 0 && json.IndexOf("\\uD"u8) < 0)
        {
            return;
        }

        var reader = new Utf8JsonReader(json);
        while (reader.Read())
        {
            if (!reader.ValueIsEscaped)
            {
                continue;
            }

            try
            {
                reader.GetString();
            }
            catch (InvalidOperationException e)
            {
                var text = MessageText.Quote(MessageText.Plain(reader.ValueSpan));
                throw new ModelFormatException(file, $"has a string that is not valid UTF-16 near byte {reader.TokenStartIndex}: {text}", e);
            }
        }
    }
}
