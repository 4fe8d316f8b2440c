using NativeSpec.Tokenization.Normalization;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>pre_tokenizer</c> of a tokenizer.json.</summary>
internal sealed class JsonPreTokenizer
{
    private const string Supported =
        "ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, UnicodeScripts, or a Sequence of these";

    private readonly List<PreTokenizerStep> _steps = [];
    private int _parts;

    /// <summary>The steps, each within the pieces of the one before.</summary>
    public PreTokenizerStep[] Steps => [.. _steps];

    /// <summary>Whether the pieces are encoded byte by byte.</summary>
    public bool IsByteLevel { get; private set; }

    /// <summary>Whether ByteLevel comes before other parts, which then work on bytes written in its letters, as does the model.</summary>
    public bool WritesLetters { get; private set; }

    /// <summary>Whether the text is cut at all.</summary>
    public bool Cuts => _steps.Exists(s => s.Split is not null);

    /// <summary>Reads the pre-tokenizer, if any.</summary>
    /// <param name="part">The member, or null.</param>
    /// <param name="addPrefixSpace">What tokenizer_config.json says about <c>add_prefix_space</c>, which then holds for a ByteLevel that
    /// stands alone; or null.</param>
    public static JsonPreTokenizer Read(JsonPart? part, bool? addPrefixSpace)
    {
        var result = new JsonPreTokenizer();
        if (part is { } pre)
        {
            if (pre.Required("type").Text() == "ByteLevel")
            {
                result.AddByteLevel(pre, addPrefixSpace);
            }
            else
            {
                result.Add(pre);
            }
        }

        return result;
    }

    private void Add(JsonPart part)
    {
        if (++_parts > PreTokenizer.MaxSteps / 2)
        {
            throw part.Unsupported($"more than {PreTokenizer.MaxSteps / 2} parts", "fewer");
        }

        var type = part.Required("type").Text();
        if (type == "Sequence")
        {
            foreach (var item in part.Required("pretokenizers").Items())
            {
                Add(item);
            }

            return;
        }

        if (IsByteLevel)
        {
            (IsByteLevel, WritesLetters) = (false, true);
            _steps.Add(new((text, _) => Normalizer.ByteLetters(text), null));
        }

        switch (type)
        {
            case "ByteLevel":
                AddByteLevel(part, addPrefixSpace: null);
                break;
            case "Metaspace":
                AddMetaspace(part);
                break;
            case "Split":
                _steps.Add(new(null, ReadSplit(part)));
                break;
            case "Digits":
                var digits = part.Flag("individual_digits", false) ? MatchBehavior.Isolated : MatchBehavior.Contiguous;
                _steps.Add(new(null, new MatchSplitter(RuneMatcher.Numbers, digits)));
                break;
            case "Punctuation":
                var behavior = part.Optional("behavior") is { } given ? ReadBehavior(given) : MatchBehavior.Isolated;
                _steps.Add(new(null, new MatchSplitter(RuneMatcher.Punctuation, behavior)));
                break;
            case "Whitespace":
                _steps.Add(new(null, new MatchSplitter(WordMatcher.Instance, MatchBehavior.Removed, invert: true)));
                break;
            case "WhitespaceSplit":
                _steps.Add(new(null, new MatchSplitter(RuneMatcher.WhiteSpace, MatchBehavior.Removed)));
                break;
            case "CharDelimiterSplit":
                _steps.Add(new(null, new MatchSplitter(new LiteralMatcher(JsonNormalizer.ReadShort(part.Required("delimiter"))), MatchBehavior.Removed)));
                break;
            case "UnicodeScripts":
                _steps.Add(new(null, new ScriptSplitter()));
                break;
            default:
                throw part.Unsupported($"the pre-tokenizer {type}", Supported);
        }
    }

    private void AddByteLevel(JsonPart part, bool? addPrefixSpace)
    {
        IsByteLevel = true;
        if (addPrefixSpace ?? part.Flag("add_prefix_space", true))
        {
            _steps.Add(new(Metaspace.PrefixSpace, null));
        }

        if (part.Flag("use_regex", true))
        {
            _steps.Add(new(null, SplitPatterns.Find(SplitPatterns.Gpt2)));
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
        _steps.Add(new(Metaspace.Transform(mark, scheme), null));
        if (part.Flag("split", true))
        {
            _steps.Add(new(null, new MatchSplitter(new LiteralMatcher(mark.ToString()), MatchBehavior.MergedWithNext)));
        }
    }

    private static Splitter ReadSplit(JsonPart part)
    {
        var behavior = ReadBehavior(part.Required("behavior"));
        var invert = part.Flag("invert", false);

        // Each known pattern matches everywhere, so its matches lie side by side: to isolate them, inverted or not, and to remove what
        // is between them are all the same.
        var coversAll = behavior == MatchBehavior.Isolated || (behavior == MatchBehavior.Removed && invert);
        var known = part.Required("pattern").Optional("Regex") is { } regex && coversAll ? SplitPatterns.Find(regex.Text()) : null;
        return (Splitter?)known ?? new MatchSplitter(JsonNormalizer.ReadPattern(part), behavior, invert);
    }

    private static MatchBehavior ReadBehavior(JsonPart part) => part.Text() switch
    {
        "Isolated" => MatchBehavior.Isolated,
        "Removed" => MatchBehavior.Removed,
        "Contiguous" => MatchBehavior.Contiguous,
        "MergedWithPrevious" => MatchBehavior.MergedWithPrevious,
        "MergedWithNext" => MatchBehavior.MergedWithNext,
        _ => throw part.Bad("Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext"),
    };
}
