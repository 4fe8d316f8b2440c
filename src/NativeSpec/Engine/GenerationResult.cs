using NativeSpec.Sampling;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>Why a text ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended it, or a stop string or stop id appeared.</summary>
    Stop,
    /// <summary>The wanted number of tokens was written, or the context is full.</summary>
    Length,
}

/// <summary>Some text as it appears: what one round of the engine released.</summary>
/// <param name="Text">New characters, never half of one; empty while a character or a possible stop string is incomplete. All pieces
/// together are the result's text.</param>
/// <param name="Ids">New tokens.</param>
/// <param name="LogProbs">One per token where the request asks for them, otherwise empty.</param>
/// <param name="Result">On the last piece, the whole; null before.</param>
public sealed record GenerationPiece(string Text, IReadOnlyList<int> Ids, IReadOnlyList<TokenLogProbs> LogProbs, GenerationResult? Result);

/// <summary>A finished text.</summary>
public sealed record GenerationResult
{
    /// <summary>The text, without stop strings and special tokens.</summary>
    public required string Text { get; init; }

    /// <summary>The tokens written, with the end-of-text token or stop id that ended them.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>One per token where the request asked for them, otherwise empty.</summary>
    public required IReadOnlyList<TokenLogProbs> LogProbs { get; init; }

    /// <summary>Why it ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>The stop string that ended it, if one did.</summary>
    public required string? StopString { get; init; }

    /// <summary>The seed: the request's, or the one that was drawn for it. With it the same text can be had again, by the same
    /// <see cref="SamplerVersion"/>.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Which way of turning random numbers into tokens wrote the text. 1 drew from the cumulative distribution; 2, since this is noted,
    /// takes the arg-max with Gumbel noise, and gives other texts for the same seeds. Greedy texts are the same in both.</summary>
    public required int SamplerVersion { get; init; }

    /// <summary>Tokens of the prompt.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Of those, tokens whose keys and values were found in the prefix cache and not computed.</summary>
    public int CachedTokens { get; init; }

    /// <summary>What speculation did.</summary>
    public required SpeculationStats Speculation { get; init; }

    /// <summary>Where the time went.</summary>
    public required GenerationTimings Timings { get; init; }
}

/// <summary>Where a request's time went.</summary>
/// <param name="Queue">From the first read until the engine began with it.</param>
/// <param name="Prompt">From then until the first token.</param>
/// <param name="Decode">From the first token until the last.</param>
/// <param name="Rounds">Forwards that computed its tokens after the prompt.</param>
public readonly record struct GenerationTimings(TimeSpan Queue, TimeSpan Prompt, TimeSpan Decode, int Rounds);
