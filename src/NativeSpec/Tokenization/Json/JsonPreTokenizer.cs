using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>pre_tokenizer</c> of a tokenizer.json: ByteLevel, Metaspace, Digits, Split by a string or by a known pattern, and
/// Sequences of them.</summary>
internal sealed class JsonPreTokenizer
{
    private const string Supported = "ByteLevel, Metaspace, Digits, Split or a Sequence of these";

    private readonly List<Splitter> _splitters = [];
    private int _parts;

    /// <summary>What is first done to a text, or null.</summary>
    public Func<string, bool, string>? Transform { get; private set; }

    /// <summary>The cuts, each within the pieces of the one before.</summary>
    public Splitter[] Splitters => [.. _splitters];

    /// <summary>Whether the pieces are encoded byte by byte.</summary>
    public bool IsByteLevel { get; private set; }

    /// <summary>Reads the pre-tokenizer, if any.</summary>
    public static JsonPreTokenizer Read(JsonPart? part)
    {
        var result = new JsonPreTokenizer();
        if (part is { } pre)
        {
            result.Add(pre);
        }

        return result;
    }

    private void Add(JsonPart part)
    {
        if (++_parts > PreTokenizer.MaxSplitters)
        {
            throw part.Unsupported($"more than {PreTokenizer.MaxSplitters} parts", "fewer");
        }

        if (IsByteLevel)
        {
            throw part.Unsupported("a pre-tokenizer after ByteLevel", "ByteLevel as the last of a Sequence");
        }

        switch (part.Required("type").Text())
        {
            case "Sequence":
                foreach (var item in part.Required("pretokenizers").Items())
                {
                    Add(item);
                }

                break;
            case "ByteLevel":
                AddByteLevel(part);
                break;
            case "Metaspace":
                AddMetaspace(part);
                break;
            case "Digits":
                _splitters.Add(new DigitSplitter(part.Flag("individual_digits", false)));
                break;
            case "Split":
                AddSplit(part);
                break;
            case var type:
                throw part.Unsupported($"the pre-tokenizer {type}", Supported);
        }
    }

    private void AddByteLevel(JsonPart part)
    {
        IsByteLevel = true;
        if (part.Flag("add_prefix_space", true))
        {
            SetTransform(part, Metaspace.PrefixSpace);
        }

        if (part.Flag("use_regex", true))
        {
            _splitters.Add(SplitPatterns.Find(SplitPatterns.Gpt2)!);
        }
    }

    private void AddMetaspace(JsonPart part)
    {
        var replacement = part.Required("replacement");
        if (replacement.Text() is not [var mark] || char.IsSurrogate(mark))
        {
            throw replacement.Bad("one character");
        }

        // Files from before prepend_scheme have add_prefix_space: true meant always, false never.
        var scheme = part.Optional("prepend_scheme") switch
        {
            null => part.Flag("add_prefix_space", true) ? PrependScheme.Always : PrependScheme.Never,
            { } given => given.Text() switch
            {
                "always" => PrependScheme.Always,
                "first" => PrependScheme.First,
                "never" => PrependScheme.Never,
                _ => throw given.Bad("always, first or never"),
            },
        };
        SetTransform(part, Metaspace.Transform(mark, scheme));
        if (part.Flag("split", true))
        {
            _splitters.Add(new LiteralSplitter(mark.ToString(), DelimiterBehavior.MergedWithNext));
        }
    }

    private void AddSplit(JsonPart part)
    {
        var pattern = part.Required("pattern");
        var behavior = part.Required("behavior");
        var invert = part.Flag("invert", false);
        if (pattern.Optional("Regex") is { } regex)
        {
            // Each known pattern matches everywhere, so its matches lie side by side: to isolate them, inverted or not, and to
            // remove what is between them are all the same.
            var isIsolated = behavior.Text() is "Isolated" || (behavior.Text() is "Removed" && invert);
            _splitters.Add(SplitPatterns.Find(regex.Text()) ?? throw regex.Unsupported(
                $"the split pattern '{regex.Text()}'", "a pattern of GPT-2, Llama 3, cl100k or Qwen 2; no other pattern is run"));
            if (!isIsolated)
            {
                throw behavior.Unsupported($"{behavior.Text()} with invert {invert}", "Isolated");
            }

            return;
        }

        var literal = JsonNormalizer.ReadPattern(part);
        if (invert)
        {
            throw part.Unsupported("invert with a String pattern", "invert false");
        }

        _splitters.Add(new LiteralSplitter(literal, behavior.Text() switch
        {
            "Isolated" => DelimiterBehavior.Isolated,
            "Contiguous" => DelimiterBehavior.Contiguous,
            "MergedWithPrevious" => DelimiterBehavior.MergedWithPrevious,
            "MergedWithNext" => DelimiterBehavior.MergedWithNext,
            var name => throw behavior.Unsupported($"the behavior {name}", "Isolated, Contiguous, MergedWithPrevious or MergedWithNext"),
        }));
    }

    private void SetTransform(JsonPart part, Func<string, bool, string> transform)
    {
        if (Transform is not null || _splitters.Count > 0)
        {
            throw part.Unsupported("a change of the text after another pre-tokenizer", "Metaspace or add_prefix_space first");
        }

        Transform = transform;
    }
}
