using System.Text.Json;
using System.Text.Unicode;

namespace NativeSpec.Loading;

/// <summary>Reads the members of one JSON object of a configuration file. A member that is absent or null is null; one of the wrong kind
/// or out of range is a <see cref="ModelFormatException"/> that names the file, the member and the value.</summary>
internal readonly struct JsonFields(string file, JsonElement element, string path = "")
{
    /// <summary>The file, for messages.</summary>
    public string File => file;

    /// <summary>The object itself.</summary>
    public JsonElement Element => element;

    /// <summary>Parses a whole file, whose root must be an object without duplicate names.</summary>
    public static JsonDocument ParseDocument(string file, byte[] json)
    {
        try
        {
            CheckText(file, json);
            var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
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
            throw new ModelFormatException(file, $"is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>The member, or null when it is absent or null.</summary>
    public JsonElement? Value(string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>A whole number within bounds.</summary>
    public int? Integer(string name, long min = int.MinValue, long max = int.MaxValue)
    {
        if (Value(name) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= min && number <= max
            ? checked((int)number)
            : throw Error(name, $"is {Describe(value)}; expected a whole number from {min} to {max}");
    }

    /// <summary>A whole number that must be there.</summary>
    public int RequiredInteger(string name, long min, long max) =>
        Integer(name, min, max) ?? throw Error(name, $"is missing; expected a whole number from {min} to {max}");

    /// <summary>A finite number.</summary>
    public double? Number(string name)
    {
        if (Value(name) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : throw Error(name, $"is {Describe(value)}; expected a finite number");
    }

    /// <summary>A finite number in single precision, within bounds.</summary>
    public float? Single(string name, float min, float max)
    {
        if (Number(name) is not { } number)
        {
            return null;
        }

        return (float)number >= min && (float)number <= max
            ? (float)number
            : throw Error(name, $"is {Describe(Value(name)!.Value)}; expected a number from {min} to {max}");
    }

    /// <summary>A truth value.</summary>
    public bool? Boolean(string name) => Value(name) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Error(name, $"is {Describe(value)}; expected true or false"),
    };

    /// <summary>A string.</summary>
    public string? Text(string name) => Value(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw Error(name, $"is {Describe(value)}; expected a string");

    /// <summary>An object.</summary>
    public JsonFields? Object(string name) => Value(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Object ? new JsonFields(file, value, $"{path}{name}.")
        : throw Error(name, $"is {Describe(value)}; expected an object");

    /// <summary>Token ids: a number or an array of them, each below the vocabulary size; every id once. Empty when absent.</summary>
    public IReadOnlyList<int> TokenIds(string name, int vocabSize)
    {
        if (Value(name) is not { } value)
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return [Integer(name, 0, vocabSize - 1L)!.Value];
        }

        var ids = new SortedSet<int>();
        foreach (var item in value.EnumerateArray())
        {
            ids.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0 && id < vocabSize
                ? id
                : throw Error(name, $"holds {Describe(item)}; expected whole numbers from 0 to {vocabSize - 1}"));
        }

        return [.. ids];
    }

    /// <summary>The error of a member.</summary>
    public ModelFormatException Error(string name, string problem) => new(file, $"{MessageText.Plain(path + name)} {problem}");

    /// <summary>A value as it stands in the file, shortened.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => $"an array of {value.GetArrayLength()}",
        _ => MessageText.Plain(value.GetRawText()),
    };

    // JsonDocument decodes strings when they are asked for, and then throws if they cannot be: so ask once, here.
    private static void CheckText(string file, byte[] json)
    {
        if (!Utf8.IsValid(json))
        {
            throw new ModelFormatException(file, "is not valid UTF-8");
        }

        var reader = new Utf8JsonReader(json);
        while (reader.Read())
        {
            if (reader.ValueIsEscaped)
            {
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
}
