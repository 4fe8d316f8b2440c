using NativeSpec.Loading;

namespace NativeSpec.Tokenization.Json;

/// <summary>Reads the <c>post_processor</c> of a tokenizer.json, as far as single texts go: the tokens put before and after one.</summary>
internal sealed record JsonPostProcessor(int[] Prefix, int[] Suffix)
{
    private const string Supported = "TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel or a Sequence of these";

    /// <summary>Reads the post-processor, if any.</summary>
    public static JsonPostProcessor Read(JsonPart? part, LoadLimits limits)
    {
        if (part is not { } processor)
        {
            return new([], []);
        }

        switch (processor.Required("type").Text())
        {
            case "ByteLevel": // It only moves offsets.
                return new([], []);
            case "TemplateProcessing":
                return ReadTemplate(processor, limits);
            case "RobertaProcessing" or "BertProcessing": // [text, id] each
                return new([ReadId(processor.Required("cls"), limits)], [ReadId(processor.Required("sep"), limits)]);
            case "Sequence":
                var all = new JsonPostProcessor([], []);
                foreach (var item in processor.Required("processors").Items())
                {
                    var (before, after) = Read(item, limits);
                    all = new([.. before, .. all.Prefix], [.. all.Suffix, .. after]);
                }

                return all;
            case var type:
                throw processor.Unsupported($"the post-processor {type}", Supported);
        }
    }

    private static int ReadId(JsonPart pair, LoadLimits limits) =>
        pair.Items().ToArray() is [_, var id] ? id.Int(0, limits.MaxVocabSize - 1) : throw pair.Bad("[\"text\", id]");

    private static JsonPostProcessor ReadTemplate(JsonPart part, LoadLimits limits)
    {
        List<int> prefix = [], suffix = [];
        var single = part.Required("single");
        var sequences = 0;
        foreach (var piece in single.Items())
        {
            if (piece.Optional("Sequence") is not null)
            {
                sequences++;
                continue;
            }

            var name = piece.Required("SpecialToken").Required("id").Text();
            foreach (var id in part.Required("special_tokens").Required(name).Required("ids").Items())
            {
                (sequences == 0 ? prefix : suffix).Add(id.Int(0, limits.MaxVocabSize - 1));
            }
        }

        return sequences == 1 ? new([.. prefix], [.. suffix]) : throw single.Bad("the text once: {\"Sequence\": …}");
    }
}
