using System.Text;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Normalization;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>decoder</c> of a tokenizer.json and applies it to each token once, at load: what a token adds to a text does not
/// depend on its neighbours, except that one space may go from the start of the text.</summary>
internal sealed class JsonDecoder
{
    private const string Supported = "ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip or a Sequence of these";
    private const int MaxTokenLength = 1_000_000;

    private readonly List<(string Pattern, string Content)> _replacements = [];
    private bool _isByteLevel;
    private bool _isFused;
    private int _parts;

    /// <summary>Whether one space goes from the start of a text.</summary>
    public bool StripsLeadingSpace { get; private set; }

    /// <summary>Whether <c>&lt;0x0A&gt;</c> adds a byte.</summary>
    public bool HasByteTokens { get; private set; }

    /// <summary>Reads the decoder; where there is none, tokens add their bytes (byte-level) or their text.</summary>
    public static JsonDecoder Read(JsonPart? part, bool isByteLevel)
    {
        var result = new JsonDecoder { _isByteLevel = part is null && isByteLevel };
        if (part is { } decoder)
        {
            result.Add(decoder);
        }

        return result;
    }

    /// <summary>The bytes that a token adds.</summary>
    public byte[] Decode(string token, JsonPart place)
    {
        if (_isByteLevel)
        {
            return ByteAlphabet.Decode(token);
        }

        if (HasByteTokens && ByteAlphabet.ParseByteToken(token) is >= 0 and var value)
        {
            return [(byte)value];
        }

        foreach (var (pattern, content) in _replacements)
        {
            token = token.Replace(pattern, content, StringComparison.Ordinal);
            if (token.Length > MaxTokenLength)
            {
                throw place.Bad($"a token that decodes to at most {MaxTokenLength} characters");
            }
        }

        return Encoding.UTF8.GetBytes(token);
    }

    private void Add(JsonPart part)
    {
        if (++_parts > Normalizer.MaxSteps)
        {
            throw part.Unsupported($"more than {Normalizer.MaxSteps} parts", "fewer");
        }

        switch (part.Required("type").Text())
        {
            case "Sequence":
                foreach (var item in part.Required("decoders").Items())
                {
                    Add(item);
                }

                break;
            case "ByteLevel":
                _isByteLevel = true;
                break;
            case "ByteFallback":
                HasByteTokens = true;
                break;
            case "Fuse":
                _isFused = true;
                break;
            case "Replace":
                AddReplace(part);
                break;
            case "Metaspace":
                _replacements.Add((JsonNormalizer.ReadShort(part.Required("replacement")), " "));
                StripsLeadingSpace = part.Optional("prepend_scheme")?.Text() is { } scheme ? scheme != "never" : part.Flag("add_prefix_space", true);
                break;
            case "Strip":
                AddStrip(part);
                break;
            case var type:
                throw part.Unsupported($"the decoder {type}", Supported);
        }
    }

    private void AddReplace(JsonPart part)
    {
        var pattern = JsonNormalizer.ReadShort(part.Required("pattern").Required("String"));
        var content = part.Required("content");
        if (_isFused && pattern.Length > 1)
        {
            throw part.Unsupported("to replace more than one character after Fuse", "Replace before Fuse");
        }

        _replacements.Add((pattern, content.Text().Length == 0 ? "" : JsonNormalizer.ReadShort(content)));
    }

    private void AddStrip(JsonPart part)
    {
        var start = part.Required("start").Int(0, 1);
        _ = part.Required("stop").Int(0, 0);
        if (part.Required("content").Text() != " " || !_isFused)
        {
            throw part.Unsupported("this Strip", "Strip of one space at the start, after Fuse");
        }

        StripsLeadingSpace = start == 1;
    }
}
