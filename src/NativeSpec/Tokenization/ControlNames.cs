namespace NativeSpec.Tokenization;

/// <summary>Names that mean a control token whatever the file's flags say. Some files of the Llama-2 kind mark <c>&lt;/s&gt;</c> as an
/// ordinary added token; text of a user that spells it must not end the text.</summary>
internal static class ControlNames
{
    private static readonly string[] EndOfText =
        ["</s>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>"];

    private static readonly HashSet<string> All = new(EndOfText, StringComparer.Ordinal)
    {
        "<s>", "<unk>", "<pad>", "<|begin_of_text|>", "<|im_start|>",
    };

    /// <summary>Whether the text names a control token.</summary>
    public static bool Contains(string content) => All.Contains(content);

    /// <summary>The tokens that end a text: the one that the configuration names and, of those that the vocabulary has as control tokens,
    /// the one or more that are known to.</summary>
    /// <param name="configured">The configured end-of-text token, or null.</param>
    /// <param name="tokens">The vocabulary.</param>
    public static int[] FindEos(string? configured, Vocabulary.Builder tokens)
    {
        string[] names = configured is null ? EndOfText : [configured];
        return [.. names.Where(tokens.Ids.ContainsKey).Select(name => tokens.Ids[name]).Where(id => configured is not null || tokens.IsSpecial(id))];
    }
}
