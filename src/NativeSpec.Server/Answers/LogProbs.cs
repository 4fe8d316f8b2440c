using NativeSpec.Sampling;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Answers;

/// <summary>The log-probabilities of an answer's tokens, as chat completions have them.</summary>
internal sealed record LogProbs(IReadOnlyList<TokenLogProb> Content)
{
    public static LogProbs Of(Tokenizer tokenizer, IEnumerable<TokenLogProbs> tokens)
        => new([.. tokens.Select(token => TokenLogProb.Of(tokenizer, token.Chosen) with { TopLogprobs = [.. token.Top.Select(other => TokenLogProb.Of(tokenizer, other))] })]);
}

/// <summary>A token, its bytes and its log-probability; JSON has no −∞, so what the model rules out has −9999, as with others.</summary>
internal sealed record TokenLogProb(string Token, float Logprob, int[] Bytes, IReadOnlyList<TokenLogProb>? TopLogprobs = null)
{
    private const float RuledOut = -9999;

    public static TokenLogProb Of(Tokenizer tokenizer, Sampling.TokenLogProb token)
        => new(TextOf(tokenizer, token.Id), Number(token.LogProb), token.Id < tokenizer.VocabSize ? [.. tokenizer.TokenBytes(token.Id)] : []);

    /// <summary>A token's text; a model's vocabulary may be padded past its tokenizer's.</summary>
    public static string TextOf(Tokenizer tokenizer, int id) => id < tokenizer.VocabSize ? tokenizer.TokenText(id) : "";

    public static float Number(float logProb) => float.IsFinite(logProb) ? Math.Min(logProb, 0) : RuledOut;
}

/// <summary>The log-probabilities of an answer's tokens, as completions have them.</summary>
internal sealed record CompletionLogProbs(
    IReadOnlyList<string> Tokens, IReadOnlyList<float> TokenLogprobs, IReadOnlyList<IReadOnlyDictionary<string, float>> TopLogprobs, IReadOnlyList<int> TextOffset)
{
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="offset">Where the first of them begins in the text, in UTF-16 units.</param>
    public static CompletionLogProbs Of(Tokenizer tokenizer, IReadOnlyList<TokenLogProbs> tokens, int offset)
    {
        List<string> texts = [];
        List<int> offsets = [];
        foreach (var token in tokens)
        {
            texts.Add(TokenLogProb.TextOf(tokenizer, token.Chosen.Id));
            offsets.Add(offset);
            offset += texts[^1].Length;
        }

        return new CompletionLogProbs(
            texts,
            [.. tokens.Select(token => TokenLogProb.Number(token.Chosen.LogProb))],
            [.. tokens.Select(token => (IReadOnlyDictionary<string, float>)Top(tokenizer, token.Top))],
            offsets);
    }

    private static Dictionary<string, float> Top(Tokenizer tokenizer, IReadOnlyList<Sampling.TokenLogProb> tokens)
    {
        Dictionary<string, float> top = new(StringComparer.Ordinal);
        foreach (var token in tokens)
        {
            top.TryAdd(TokenLogProb.TextOf(tokenizer, token.Id), TokenLogProb.Number(token.LogProb));
        }

        return top;
    }
}
