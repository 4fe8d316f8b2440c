namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>A target without a model: a function from a text to the token that follows it.</summary>
internal sealed class ScriptedTarget(int vocabSize, ScriptedTarget.Rule rule)
{
    public delegate int Rule(ReadOnlySpan<int> text);

    public int VocabSize => vocabSize;

    /// <summary>Writes a given text, whatever stands before: what comes next depends on the position alone.</summary>
    public static ScriptedTarget Script(int vocabSize, params int[] text)
        => new(vocabSize, before => before.Length < text.Length ? text[before.Length] : 0);

    /// <summary>What comes next is a hash of the last <paramref name="order"/> tokens.</summary>
    public static ScriptedTarget Markov(int vocabSize, int order)
        => new(vocabSize, before => HashOf(before[^Math.Min(order, before.Length)..]) % vocabSize);

    public int Next(ReadOnlySpan<int> text) => rule(text);

    /// <summary>[vocab] logits whose largest is the next token's, the others scattered below.</summary>
    public void Logits(ReadOnlySpan<int> text, Span<float> logits)
    {
        var next = rule(text);
        for (var i = 0; i < logits.Length; i++)
        {
            logits[i] = (((31 * i) + next) % 97) * 0.01f;
        }

        logits[next] = 2;
    }

    private static int HashOf(ReadOnlySpan<int> tokens)
    {
        var hash = 17u;
        foreach (var token in tokens)
        {
            hash = (hash ^ (uint)token) * 0x9E3779B1;
            hash ^= hash >> 15;
        }

        return (int)(hash >> 1);
    }
}
