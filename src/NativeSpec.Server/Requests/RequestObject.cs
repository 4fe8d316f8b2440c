using System.Globalization;
using System.Text.Json;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>An object of a request, whose members are read by name and type. What is not as it should be is an <see cref="ApiException"/> that names the member by its
/// path, such as <c>messages[2].content</c>. A member that is null counts as one that is not there, as with OpenAI.</summary>
/// <param name="json">The object.</param>
/// <param name="path">Its path in the request; empty for the request itself.</param>
internal readonly struct RequestObject(JsonElement json, string path)
{
    /// <summary>The object as it is.</summary>
    public JsonElement Json => json;

    /// <summary>Its path.</summary>
    public string Path => path;

    /// <summary>A value that must be an object.</summary>
    public static RequestObject Of(JsonElement json, string path)
        => json.ValueKind == JsonValueKind.Object ? new RequestObject(json, path) : throw Wrong(path, json, "an object");

    /// <summary>The path of a member.</summary>
    public string PathOf(string name) => path.Length == 0 ? name : $"{path}.{name}";

    /// <summary>Whether a member is there, and not null.</summary>
    public bool Has(string name) => TryGet(name, out _);

    public bool TryGet(string name, out JsonElement value) => json.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    public RequestObject? Object(string name) => TryGet(name, out var value) ? Of(value, PathOf(name)) : null;

    public string? Text(string name) => TryGet(name, out var value) ? TextOf(value, PathOf(name)) : null;

    public string RequiredText(string name) => Text(name) ?? throw ApiException.Invalid(PathOf(name), $"{PathOf(name)} is missing");

    public bool? Bool(string name) => !TryGet(name, out var value) ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(PathOf(name), value, "true or false"),
    };

    public float? Float(string name) => TryGet(name, out var value) ? FloatOf(value, PathOf(name)) : null;

    /// <summary>A whole number within bounds; 3.0 is one.</summary>
    public int? Int(string name, int least, int most)
        => TryGet(name, out var value) ? IntOf(value, PathOf(name), least, most) : null;

    /// <summary>Any whole number of 64 bits, with a sign or without.</summary>
    public ulong? Seed(string name)
        => !TryGet(name, out var value) ? null
            : value.ValueKind != JsonValueKind.Number ? throw Wrong(PathOf(name), value, "a whole number")
            : value.TryGetInt64(out var signed) ? unchecked((ulong)signed)
            : value.TryGetUInt64(out var unsigned) ? unsigned
            : throw Wrong(PathOf(name), value, "a whole number of 64 bits");

    /// <summary>The elements of a list; null where it is not there.</summary>
    public RequestList? List(string name, int most) => TryGet(name, out var value) ? ListOf(value, PathOf(name), most) : null;

    public static RequestList ListOf(JsonElement value, string path, int most)
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            throw Wrong(path, value, "a list");
        }

        if (value.GetArrayLength() > most)
        {
            throw ApiException.Invalid(path, $"{path} has {value.GetArrayLength()} elements; at most {most} are allowed");
        }

        return new RequestList(value, path);
    }

    public static string TextOf(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw Wrong(path, value, "a text");
        }

        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw ApiException.Invalid(path, $"{path} is not valid Unicode", inner: error);
        }
    }

    public static float FloatOf(JsonElement value, string path)
        => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && float.IsFinite((float)number) ? (float)number : throw Wrong(path, value, "a number");

    public static int IntOf(JsonElement value, string path, int least, int most) => TryInt(value, least, most) ?? throw NoInt(value, path, least, most);

    public static int IntOf(RequestItem item, int least, int most) => TryInt(item.Value, least, most) ?? throw NoInt(item.Value, item.Path, least, most);

    public static ApiException Wrong(string path, JsonElement value, string expected)
        => ApiException.Invalid(path.Length == 0 ? null : path, $"{(path.Length == 0 ? "the request" : path)} is {Shown(value)}; expected {expected}");

    private static int? TryInt(JsonElement value, int least, int most)
        => value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out var number) && number == decimal.Truncate(number) && number >= least && number <= most ? (int)number : null;

    private static ApiException NoInt(JsonElement value, string path, int least, int most)
        => value.ValueKind != JsonValueKind.Number || !value.TryGetDecimal(out var number) || number != decimal.Truncate(number)
            ? Wrong(path, value, "a whole number")
            : ApiException.Invalid(path, string.Create(CultureInfo.InvariantCulture, $"{path} is {Shown(value)}; it must be {least} {(most == int.MaxValue ? "or more" : $"to {most}")}"));

    // What was found, in a few words: somebody's whole text is not repeated.
    private static string Shown(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => "a text",
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.Null => "null",
        _ => value.GetRawText() is { Length: <= 40 } raw ? raw : "a number of many digits",
    };
}
