using System.Text.Json;

namespace NativeSpec.Loading;

/// <summary>Reads the members of one JSON object of a configuration file. A member that is absent or null is null; one of the wrong kind
/// or out of range is a <see cref="ModelFormatException"/> that names the file, the member and the value.</summary>
internal readonly struct JsonFields(string file, JsonElement element, List<string>? notes = null, string path = "", JsonElement defaults = default)
{
    /// <summary>The file, for messages.</summary>
    public string File => file;

    /// <summary>The object itself.</summary>
    public JsonElement Element => element;

    /// <summary>The same object with members that count where it has none of their names; a null stays null.</summary>
    public JsonFields WithDefaults(JsonElement members) => new(file, element, notes, path, members);

    /// <summary>Whether the member is there, be it null.</summary>
    public bool Has(string name) => element.TryGetProperty(name, out _);

    /// <summary>The member, or null when it is absent or null.</summary>
    public JsonElement? Value(string name) =>
        (element.TryGetProperty(name, out var value) || (defaults.ValueKind == JsonValueKind.Object && defaults.TryGetProperty(name, out value)))
        && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>A whole number within bounds.</summary>
    public int? Integer(string name, long min = int.MinValue, long max = int.MaxValue)
    {
        if (Value(name) is not { } value)
        {
            return null;
        }

        return Whole(value) is { } number && number >= min && number <= max
            ? checked((int)number)
            : throw Error(name, $"is {JsonText.Describe(value)}; expected a whole number from {min} to {max}");
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
            : throw Error(name, $"is {JsonText.Describe(value)}; expected a finite number");
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
            : throw Error(name, $"is {JsonText.Describe(Value(name)!.Value)}; expected a number from {min} to {max}");
    }

    /// <summary>A truth value.</summary>
    public bool? Boolean(string name) => Value(name) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Error(name, $"is {JsonText.Describe(value)}; expected true or false"),
    };

    /// <summary>A string.</summary>
    public string? Text(string name) => Value(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw Error(name, $"is {JsonText.Describe(value)}; expected a string");

    /// <summary>An object.</summary>
    public JsonFields? Object(string name) => Value(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Object ? new JsonFields(file, value, notes, $"{path}{name}.")
        : throw Error(name, $"is {JsonText.Describe(value)}; expected an object");

    /// <summary>Token ids: a number or an array of them, every id once, ascending. Empty when absent. An id outside the vocabulary can never
    /// be chosen: it is left out, with a note.</summary>
    public IReadOnlyList<int> TokenIds(string name, int vocabSize)
    {
        if (Value(name) is not { } value)
        {
            return [];
        }

        List<int> ids = [];
        var (outside, firstOutside) = (0, 0L);
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in value.EnumerateArray())
            {
                Take(Whole(item) ?? throw Error(name, $"holds {JsonText.Describe(item)}; expected whole numbers"));
            }
        }
        else
        {
            Take(Whole(value) ?? throw Error(name, $"is {JsonText.Describe(value)}; expected a whole number or an array of them"));
        }

        if (outside > 0)
        {
            Note(name, $"names the token {firstOutside}{(outside > 1 ? $" and {outside - 1} more" : "")}, outside the vocabulary of {vocabSize}: never chosen, left out");
        }

        ids.Sort();
        var kept = 0;
        for (var i = 0; i < ids.Count; i++)
        {
            if (kept == 0 || ids[i] != ids[kept - 1])
            {
                ids[kept++] = ids[i];
            }
        }

        ids.RemoveRange(kept, ids.Count - kept);
        return ids.AsReadOnly();

        void Take(long id)
        {
            if (id < 0 || id >= vocabSize)
            {
                firstOutside = outside++ == 0 ? id : firstOutside;
            }
            else
            {
                ids.Add((int)id);
            }
        }
    }

    /// <summary>A token id; as in <see cref="TokenIds"/>, one outside the vocabulary is left out.</summary>
    public int? TokenId(string name, int vocabSize) => TokenIds(name, vocabSize) is [var id, ..] ? id : null;

    /// <summary>Notes which members are taken from the defaults.</summary>
    public void NoteDefaults()
    {
        List<string> taken = [];
        foreach (var member in defaults.EnumerateObject())
        {
            if (!Has(member.Name))
            {
                taken.Add($"{member.Name} ({member.Value.GetRawText()})");
            }
        }

        if (taken.Count > 0)
        {
            notes?.Add($"{file}: is taken to mean its model_type's defaults where it says nothing: {string.Join(", ", taken)}");
        }
    }

    /// <summary>Tells of a member that is left aside; who opens the model finds it in the notes.</summary>
    public void Note(string name, string what) => notes?.Add($"{file}: {MessageText.Plain(path + name)} {what}");

    /// <summary>The error of a member.</summary>
    public ModelFormatException Error(string name, string problem) => new(file, $"{MessageText.Plain(path + name)} {problem}");

    // JSON has one kind of number: 32.0 is whole, and tools write it.
    private static long? Whole(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number)
        {
            return null;
        }

        return value.TryGetInt64(out var number) ? number
            : value.TryGetDouble(out var real) && double.IsInteger(real) && Math.Abs(real) < 1L << 53 ? (long)real : null;
    }
}
