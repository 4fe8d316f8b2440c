namespace NativeSpec.Tokenization;

/// <summary>Which tokens end a text.</summary>
internal static class EndOfText
{
    private static readonly string[] UsualNames =
        ["</s>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>"];

    /// <summary>The token that the configuration names; where it names none, those control tokens of the vocabulary that usually do.</summary>
    /// <param name="configured">The configured end-of-text token, or null.</param>
    /// <param name="tokens">The vocabulary.</param>
    public static int[] Find(string? configured, Vocabulary.Builder tokens)
    {
        string[] names = configured is null ? UsualNames : [configured];
        return [.. names.Where(tokens.Ids.ContainsKey).Select(name => tokens.Ids[name]).Where(id => configured is not null || tokens.IsSpecial(id))];
    }

    /// <summary>Those control tokens that usually end a text.</summary>
    /// <param name="special">The control tokens.</param>
    public static int[] Find(IReadOnlyDictionary<string, int> special) => [.. UsualNames.Where(special.ContainsKey).Select(name => special[name])];
}
