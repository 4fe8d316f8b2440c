using NativeSpec.Engine;
using NativeSpec.Speculation.PromptLookup;

namespace NativeSpec.Server.Answers;

/// <summary>What an answer took, in tokens.</summary>
internal sealed record Usage(int PromptTokens, int CompletionTokens, int TotalTokens, PromptDetails PromptTokensDetails, CompletionDetails CompletionTokensDetails)
{
    /// <summary>The usage of one or more texts.</summary>
    /// <param name="results">The texts; those of one prompt stand beside each other.</param>
    /// <param name="choices">How many follow each prompt, which counts once.</param>
    /// <param name="reasoning">Tokens of the texts that were thoughts.</param>
    public static Usage Of(IReadOnlyList<GenerationResult> results, int choices, int reasoning)
    {
        var prompts = results.Chunk(choices).ToArray();
        var promptTokens = prompts.Sum(texts => texts[0].PromptTokens);
        var written = results.Sum(result => result.Ids.Count);
        var predicted = results.SelectMany(result => result.Speculation.Drafters).Where(drafter => drafter.Name == PredictionDrafter.DrafterName).ToArray();
        var accepted = predicted.Sum(drafter => drafter.Accepted);
        return new Usage(
            promptTokens,
            written,
            promptTokens + written,
            new PromptDetails(prompts.Sum(texts => texts.Min(result => result.CachedTokens))),
            new CompletionDetails(reasoning, accepted, predicted.Sum(drafter => drafter.Drafted) - accepted));
    }
}

/// <summary>Of the prompt's tokens, those whose keys and values the prefix cache had.</summary>
internal sealed record PromptDetails(int CachedTokens);

/// <summary>Of the text's tokens, thoughts; and tokens of the request's prediction that became text or were computed in vain.</summary>
internal sealed record CompletionDetails(int ReasoningTokens, int AcceptedPredictionTokens, int RejectedPredictionTokens);

/// <summary>Where the time went, with llama.cpp's names. Of several texts: what they have together, and the time of the slowest.</summary>
internal sealed record Timings(
    int CacheN, int PromptN, double PromptMs, double PromptPerTokenMs, double PromptPerSecond,
    int PredictedN, double PredictedMs, double PredictedPerTokenMs, double PredictedPerSecond,
    int? DraftN, int? DraftNAccepted)
{
    public static Timings Of(IReadOnlyList<GenerationResult> results)
    {
        var cached = results.Min(result => result.CachedTokens);
        var computed = results.Max(result => result.PromptTokens) - cached;
        var prompt = results.Max(result => result.Timings.Prompt.TotalMilliseconds);
        var written = results.Sum(result => result.Ids.Count);
        var later = results.Sum(result => Math.Max(result.Ids.Count - 1, 0)); // the first token belongs to the prompt's time
        var decode = results.Max(result => result.Timings.Decode.TotalMilliseconds);
        var speculated = results.Any(result => result.Speculation.Drafters.Count > 0);
        return new Timings(
            cached, computed, Round(prompt), Round(Ratio(prompt, computed)), Round(1000 * Ratio(computed, prompt)),
            written, Round(decode), Round(Ratio(decode, later)), Round(1000 * Ratio(later, decode)),
            speculated ? results.Sum(result => result.Speculation.Drafted) : null,
            speculated ? results.Sum(result => result.Speculation.Accepted) : null);
    }

    private static double Ratio(double of, double by) => by > 0 ? of / by : 0;

    private static double Round(double value) => Math.Round(value, 4);
}
