using System.Text.Json;
using NativeSpec.Loading;

namespace NativeSpec.Tokenization.Json;

/// <summary>A value within a JSON file that knows where it stands, so that every error names the file, the place, what was expected and
/// what was found.</summary>
internal sealed record JsonPart(string File, string Path, JsonElement Value)
{
    /// <summary>Parses a whole file, which must hold an object.</summary>
    public static JsonPart Parse(string file, ReadOnlyMemory<byte> utf8) => new(file, "", JsonText.ParseObject(file, utf8).RootElement);

    /// <summary>The member of that name, or null where it is absent or null.</summary>
    public JsonPart? Optional(string name)
    {
        if (Value.ValueKind != JsonValueKind.Object)
        {
            throw Bad("an object");
        }

        return Value.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? new(File, At(name), value) : null;
    }

    /// <summary>The member of that name.</summary>
    public JsonPart Required(string name) => Optional(name) ?? throw new ModelFormatException(File, $"{At(name)} is missing");

    /// <summary>The items of this array.</summary>
    public IEnumerable<JsonPart> Items()
    {
        if (Value.ValueKind != JsonValueKind.Array)
        {
            throw Bad("an array");
        }

        var index = 0;
        foreach (var item in Value.EnumerateArray())
        {
            yield return new(File, $"{Path}[{index++}]", item);
        }
    }

    /// <summary>The members of this object, name and value.</summary>
    public IEnumerable<(string Name, JsonPart Part)> Members()
    {
        if (Value.ValueKind != JsonValueKind.Object)
        {
            throw Bad("an object");
        }

        foreach (var member in Value.EnumerateObject())
        {
            var name = NameOf(member);
            yield return (name, new(File, At(name), member.Value));
        }
    }

    /// <summary>This string.</summary>
    public string Text()
    {
        try
        {
            return Value.ValueKind == JsonValueKind.String ? Value.GetString()! : throw Bad("a string");
        }
        catch (InvalidOperationException error)
        {
            throw new ModelFormatException(File, $"{Path} is a string that is no valid Unicode", error);
        }
    }

    /// <summary>This integer, which must lie within the bounds.</summary>
    public int Int(int min, int max) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var value) && value >= min && value <= max
            ? value
            : throw Bad($"an integer from {min} to {max}");

    /// <summary>A flag among the members, or its default where it is absent or null.</summary>
    public bool Flag(string name, bool whenAbsent) => Optional(name) is not { } part ? whenAbsent : part.Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw part.Bad("true or false"),
    };

    /// <summary>The error that this value is not what it must be.</summary>
    public ModelFormatException Bad(string expected)
    {
        var found = Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array ? Value.ValueKind.ToString() : Value.GetRawText();
        return new(File, $"{(Path.Length == 0 ? "the root" : Path)} is {Shorten(found)}: expected {expected}");
    }

    /// <summary>The beginning of a long text, for a message.</summary>
    public static string Shorten(string text) => text.Length > 200 ? text[..200] + "…" : text;

    /// <summary>The error that this value asks for something that is not supported.</summary>
    public ModelFormatException Unsupported(string what, string supported) =>
        new(File, $"{Path}: {what} is not supported: expected {supported}");

    private string At(string name) => Path.Length == 0 ? name : $"{Path}.{name}";

    private string NameOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException error)
        {
            throw new ModelFormatException(File, $"{Path} has a member whose name is no valid Unicode", error);
        }
    }
}
