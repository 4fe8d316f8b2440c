using NativeSpec.Loading;
using NativeSpec.Tokenization.Normalization;
using NativeSpec.Tokenization.Patterns;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>normalizer</c> of a tokenizer.json.</summary>
internal static class JsonNormalizer
{
    private const string Supported =
        "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, Precompiled, ByteLevel, or a Sequence of these";

    /// <summary>The steps of the normalizer; none where there is none.</summary>
    public static List<NormalizerStep> Read(JsonPart? part)
    {
        var steps = new List<NormalizerStep>();
        if (part is { } normalizer)
        {
            Add(normalizer, steps);
        }

        return steps;
    }

    /// <summary>What finds the <c>pattern</c> of a Replace or a Split: a string or a regular expression.</summary>
    public static IMatcher ReadPattern(JsonPart part)
    {
        var pattern = part.Required("pattern");
        if (pattern.Optional("Regex") is { } regex)
        {
            try
            {
                return new LinearPattern(regex.Text());
            }
            catch (PatternException error)
            {
                throw new ModelFormatException(
                    regex.File, $"{regex.Path}: the regular expression '{JsonPart.Shorten(regex.Text())}' is not supported: {error.Message}", error);
            }
        }

        return pattern.Value.ValueKind == System.Text.Json.JsonValueKind.String
            ? new LiteralMatcher(ReadShort(pattern))
            : new LiteralMatcher(ReadShort(pattern.Required("String")));
    }

    /// <summary>A string that is not empty and short enough that repeating it cannot blow a text up.</summary>
    public static string ReadShort(JsonPart part) =>
        part.Text() is { Length: > 0 and <= Normalizer.MaxContentLength } text
            ? text
            : throw part.Bad($"1 to {Normalizer.MaxContentLength} characters");

    private static void Add(JsonPart part, List<NormalizerStep> steps)
    {
        if (steps.Count == Normalizer.MaxSteps)
        {
            throw part.Unsupported($"more than {Normalizer.MaxSteps} steps", "fewer");
        }

        switch (part.Required("type").Text())
        {
            case "Sequence":
                foreach (var item in part.Required("normalizers").Items())
                {
                    Add(item, steps);
                }

                break;
            case "Prepend":
                steps.Add(new(Normalizer.Prepend(ReadShort(part.Required("prepend")))));
                break;
            case "Replace":
                var content = part.Required("content");
                steps.Add(new(Normalizer.Replace(ReadPattern(part), content.Text().Length == 0 ? "" : ReadShort(content))));
                break;
            case "Strip":
                steps.Add(new(Normalizer.Strip(part.Flag("strip_left", false), part.Flag("strip_right", false))));
                break;
            case "Precompiled":
                steps.Add(new(ReadMap(part.Required("precompiled_charsmap")).ReplaceGraphemes));
                break;
            case var type:
                steps.Add(new(Simple(type) ?? throw part.Unsupported($"the normalizer {type}", Supported)));
                break;
        }
    }

    private static Func<string, string>? Simple(string type) => type switch
    {
        "NFC" => text => NormalForm.Apply(text, compose: true, compatible: false),
        "NFD" => text => NormalForm.Apply(text, compose: false, compatible: false),
        "NFKC" => text => NormalForm.Apply(text, compose: true, compatible: true),
        "NFKD" => text => NormalForm.Apply(text, compose: false, compatible: true),
        "Lowercase" => Normalizer.Lowercase,
        "StripAccents" => Normalizer.StripAccents,
        "ByteLevel" => Normalizer.ByteLetters,
        _ => null,
    };

    private static CharacterMap ReadMap(JsonPart part)
    {
        var text = part.Text();
        var bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out var length) && CharacterMap.TryRead(bytes.AsSpan(0, length)) is { } map
            ? map
            : throw part.Bad("a compiled character map in base64");
    }
}
