using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Training.Data;

/// <summary>Text in a model's own words: it completes the beginnings of a corpus's documents. Medusa heads that learn from it learn what the
/// model will say rather than what others said (Cai et al., 2024, section 2.3.2: self-distillation).</summary>
internal static class SelfText
{
    private const int AtOnce = 32;       // documents that the engine writes side by side
    private const int PromptShare = 4;   // a document's first quarter is the prompt

    /// <summary>Writes a corpus file. The same arguments give the same text, because each document has its own seed.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="documents">Where the prompts come from, taken in order until there is enough.</param>
    /// <param name="target">Folder of the model.</param>
    /// <param name="tokens">How much to write, prompts not counted.</param>
    /// <param name="seed">Of the sampling, at temperature 1: the model's own distribution.</param>
    /// <param name="threads">Threads that compute; null for all.</param>
    /// <param name="cancellationToken">Ends it; nothing is written then.</param>
    public static async Task WriteAsync(
        string path, IReadOnlyList<string> documents, string target, long tokens, ulong seed, int? threads, CancellationToken cancellationToken)
    {
        using var engine = InferenceEngine.Load(target, new EngineOptions { MaxSequences = AtOnce, Threads = threads, ProfileDirectory = null });
        List<string> written = [];
        for (var first = 0; first < documents.Count && tokens > 0; first += AtOnce)
        {
            var some = Enumerable.Range(first, Math.Min(AtOnce, documents.Count - first));
            var completed = await Task.WhenAll(some.Select(i => CompleteAsync(engine, documents[i], seed + (ulong)i, cancellationToken))).ConfigureAwait(false);
            written.AddRange(completed.Select(document => document.Text));
            tokens -= completed.Sum(document => (long)document.Tokens);
        }

        CorpusFile.Write(path, written);
    }

    private static async Task<(string Text, int Tokens)> CompleteAsync(InferenceEngine engine, string document, ulong seed, CancellationToken cancellationToken)
    {
        var ids = engine.Tokenizer.Encode(document, addSpecial: false);
        int[] prompt = [TokenCorpus.EndOfText(engine.Tokenizer), .. ids[..Math.Min(Math.Max(1, ids.Length / PromptShare), engine.MaxContext / 2)]];
        var options = new GenerationOptions { Temperature = 1, Seed = seed, Speculation = SpeculationOptions.Off };
        var result = await engine.CompleteAsync(prompt, options, cancellationToken).ConfigureAwait(false);
        return (engine.Tokenizer.Decode([.. prompt, .. result.Ids]).TrimEnd('\n') + "\n", result.Ids.Count);
    }
}
