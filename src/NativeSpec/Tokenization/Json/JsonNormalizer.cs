using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>normalizer</c> of a tokenizer.json: Prepend, Replace with a string, and Sequences of them. Unicode normal forms are
/// refused: without ICU the runtime does not make them.</summary>
internal static class JsonNormalizer
{
    private const string Supported = "Prepend, Replace with a String pattern, or a Sequence of these";

    /// <summary>The steps of the normalizer; none where there is none.</summary>
    public static List<Func<string, string>> Read(JsonPart? part)
    {
        var steps = new List<Func<string, string>>();
        if (part is { } normalizer)
        {
            Add(normalizer, steps);
        }

        return steps;
    }

    /// <summary>The pattern of a Replace, which must be a string.</summary>
    public static string ReadPattern(JsonPart part)
    {
        var pattern = part.Required("pattern");
        if (pattern.Optional("String") is not { } text)
        {
            var regex = pattern.Optional("Regex")?.Text();
            throw pattern.Unsupported($"the regular expression '{regex}'", "{\"String\": …}; regular expressions from files are not run");
        }

        return ReadShort(text);
    }

    /// <summary>A string that is not empty and short enough that repeating it cannot blow a text up.</summary>
    public static string ReadShort(JsonPart part) =>
        part.Text() is { Length: > 0 and <= Normalizer.MaxContentLength } text
            ? text
            : throw part.Bad($"1 to {Normalizer.MaxContentLength} characters");

    private static void Add(JsonPart part, List<Func<string, string>> steps)
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
                steps.Add(Normalizer.Prepend(ReadShort(part.Required("prepend"))));
                break;
            case "Replace":
                var content = part.Required("content");
                steps.Add(Normalizer.Replace(ReadPattern(part), content.Text().Length == 0 ? "" : ReadShort(content)));
                break;
            case var type:
                throw part.Unsupported($"the normalizer {type}", Supported);
        }
    }
}
