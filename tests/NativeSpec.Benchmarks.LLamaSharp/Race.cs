using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>What both engines are asked: greedy texts of one length, some at once.</summary>
/// <param name="Model">A checkpoint's folder for ours, a GGUF file for LLamaSharp.</param>
/// <param name="Weights">How matrices are packed.</param>
/// <param name="Streams">Texts at once.</param>
/// <param name="Tokens">Tokens of each.</param>
/// <param name="Threads">Threads that compute.</param>
internal sealed record RaceOptions(string Model, WeightFormat Weights, int Streams, int Tokens, int Threads)
{
    /// <summary>Tokens before each text.</summary>
    public const int PromptTokens = 16;

    /// <summary>Tokens of the text that is written before anything is measured.</summary>
    public const int WarmUpTokens = 8;

    private const int FirstName = 300; // below are bytes and control tokens, in one vocabulary or the other

    /// <summary>The prompts of all streams, the same for both engines.</summary>
    public int[][] Prompts(int vocabSize)
    {
        var random = new Random(Streams);
        return [.. Enumerable.Range(0, Streams).Select(_ => (int[])[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(FirstName, vocabSize))])];
    }
}

/// <summary>What one process has measured.</summary>
/// <param name="Engine">Which engine, and on what.</param>
/// <param name="Seconds">From the first call to the last token, prompts included.</param>
/// <param name="GapsMs">Milliseconds between two tokens of one stream, of all streams.</param>
/// <param name="Ids">The tokens of each stream.</param>
internal sealed record Race(string Engine, double Seconds, double[] GapsMs, int[][] Ids)
{
    /// <summary>Tokens per second of all streams together.</summary>
    public double TokensPerSecond => Ids.Sum(ids => ids.Length) / Seconds;
}
