using System.Text.Json;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>Reads the JSON of a safetensors header in one pass over its tokens, so that a million tiny tensors cost linear time and no
/// document tree. Every token is checked against what the format allows at its place: nothing is skipped, so nothing nests deeper.</summary>
internal ref struct SafetensorsHeaderParser
{
    private const int MaxDepth = 3;
    private readonly string _file;
    private readonly LoadLimits _limits;
    private readonly HashSet<string> _names = [];
    private readonly List<long> _numbers = [];
    private Utf8JsonReader _json;
    private bool _sawMetadata;

    // The tensor that is being read, for messages, which are only put together when something is wrong.
    private string? _tensor;

    public SafetensorsHeaderParser(string file, ReadOnlySpan<byte> json, LoadLimits limits)
    {
        _file = file;
        _limits = limits;
        _json = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>The tensors in the order of the header; their offsets are not checked yet.</summary>
    public List<SafetensorsEntry> Entries { get; } = [];

    /// <summary><c>__metadata__</c>.</summary>
    public Dictionary<string, string> Metadata { get; } = [];

    public void Parse()
    {
        try
        {
            Expect(JsonTokenType.StartObject, "the whole");
            while (NextName())
            {
                ReadMember();
                _tensor = null;
            }

            // The reader itself refuses anything but white space after the object.
            _json.Read();
        }
        catch (JsonException e)
        {
            throw Error($"not valid JSON: {e.Message}", e);
        }
    }

    private void ReadMember()
    {
        var name = Text("a tensor name", _limits.MaxNameLength);
        if (name == "__metadata__")
        {
            if (_sawMetadata)
            {
                throw Error("__metadata__ is there twice");
            }

            _sawMetadata = true;
            ReadMetadata();
            return;
        }

        _tensor = name;
        if (name.AsSpan().ContainsAnyInRange('\0', '\u001f'))
        {
            throw Error("the name has control characters");
        }

        if (!_names.Add(name))
        {
            throw Error("the name is there twice");
        }

        if (_names.Count > _limits.MaxTensors)
        {
            throw Error($"more than {_limits.MaxTensors} tensors are named (LoadLimits.MaxTensors)");
        }

        Entries.Add(ReadTensor(name));
    }

    private SafetensorsEntry ReadTensor(string name)
    {
        DType? dtype = null;
        long[]? shape = null;
        long[]? offsets = null;
        Expect(JsonTokenType.StartObject, "its description");
        while (NextName())
        {
            var field = Text("a field name", _limits.MaxNameLength);
            if ((field == "dtype" && dtype is not null) || (field == "shape" && shape is not null) || (field == "data_offsets" && offsets is not null))
            {
                throw Error($"field '{field}' is there twice");
            }

            switch (field)
            {
                case "dtype":
                    dtype = ReadDType();
                    break;
                case "shape":
                    shape = ReadNumbers("shape", _limits.MaxRank);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers("data_offsets", 2);
                    break;
                default:
                    throw Error($"unknown field {MessageText.Quote(field)}; expected dtype, shape and data_offsets");
            }
        }

        if (dtype is null || shape is null || offsets is null)
        {
            throw Error($"field '{(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}' is missing");
        }

        if (offsets.Length != 2)
        {
            throw Error($"data_offsets has {offsets.Length} numbers; expected 2");
        }

        return new SafetensorsEntry(name, dtype.Value, shape, offsets[0], offsets[1]);
    }

    private DType ReadDType()
    {
        Expect(JsonTokenType.String, "dtype");
        var name = Text("dtype", _limits.MaxNameLength);
        return SafetensorsDTypes.TryParse(name, out var dtype)
            ? dtype
            : throw Error($"unknown dtype {MessageText.Quote(name)}; known are {SafetensorsDTypes.Known}");
    }

    private long[] ReadNumbers(string what, int most)
    {
        Expect(JsonTokenType.StartArray, what);
        _numbers.Clear();
        while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
        {
            // A minus sign is looked for in the text because -0 would pass as a number.
            if (_json.TokenType != JsonTokenType.Number || _json.ValueSpan[0] == (byte)'-' || !_json.TryGetInt64(out var number))
            {
                throw Unexpected(what, $"a whole number from 0 to {long.MaxValue}");
            }

            if (_numbers.Count == most)
            {
                throw Error($"{what} has more than {most} numbers");
            }

            _numbers.Add(number);
        }

        return [.. _numbers];
    }

    private void ReadMetadata()
    {
        Expect(JsonTokenType.StartObject, "__metadata__");
        while (NextName())
        {
            var key = Text("a key of __metadata__", _limits.MaxNameLength);
            Expect(JsonTokenType.String, "a value of __metadata__");
            if (Metadata.Count == _limits.MaxTensors)
            {
                throw Error($"more than {_limits.MaxTensors} entries in __metadata__ (LoadLimits.MaxTensors)");
            }

            if (!Metadata.TryAdd(key, Text("a value of __metadata__", int.MaxValue)))
            {
                throw Error($"{MessageText.Quote(key)} is there twice in __metadata__");
            }
        }
    }

    private void Expect(JsonTokenType type, string what)
    {
        if (!_json.Read() || _json.TokenType != type)
        {
            throw Unexpected(what, type switch { JsonTokenType.StartObject => "an object", JsonTokenType.StartArray => "an array", _ => "a string" });
        }
    }

    // Inside an object the reader yields nothing but a name or the end.
    private bool NextName() => _json.Read() && _json.TokenType == JsonTokenType.PropertyName;

    private string Text(string what, int maxLength)
    {
        // The longest escape of one character, \uXXXX, has 6 bytes: an endless name is refused before it is copied.
        var tooLong = _json.ValueSpan.Length > 6L * maxLength;
        try
        {
            if (!tooLong && _json.GetString() is { } text && text.Length <= maxLength)
            {
                return text;
            }
        }
        catch (InvalidOperationException e)
        {
            throw Error($"{what} is not valid UTF-16: {MessageText.Quote(MessageText.Plain(_json.ValueSpan))}", e);
        }

        throw Error($"{what} is longer than {maxLength} characters: {MessageText.Quote(MessageText.Plain(_json.ValueSpan))}");
    }

    private readonly ModelFormatException Unexpected(string what, string expected)
    {
        var found = _json.TokenType switch
        {
            JsonTokenType.StartObject => "an object",
            JsonTokenType.StartArray => "an array",
            JsonTokenType.String => $"the string {MessageText.Quote(MessageText.Plain(_json.ValueSpan))}",
            _ => MessageText.Plain(_json.ValueSpan),
        };
        return Error($"{what} must be {expected}; found {found}");
    }

    private readonly ModelFormatException Error(string problem, Exception? inner = null)
    {
        var place = _tensor is null ? "" : $"tensor {MessageText.Quote(_tensor)}: ";
        return new ModelFormatException(_file, $"header, near byte {SafetensorsHeader.LengthBytes + _json.TokenStartIndex}: {place}{problem}", inner);
    }
}
