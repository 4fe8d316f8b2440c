using NativeSpec.Sampling;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>What one request asks for. Everything is optional: <c>new()</c> writes until the model ends the text, with the checkpoint's own
/// sampling defaults (greedy where it has none).</summary>
public sealed record GenerationOptions : SamplingOptions
{
    /// <summary>Most tokens to write, the end-of-text token included; null writes until the text ends or the context is full.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Texts that end the output where they appear, across token boundaries; they are not part of it.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Token ids that end the output, beside the checkpoint's end-of-text ids. The id is in the result's ids, its text is not in
    /// the text.</summary>
    public IReadOnlyList<int> StopIds { get; init; } = [];

    /// <summary>Control tokens whose text is part of the output's, as that of all other tokens is: markers in an answer such as <c>[TOOL_CALLS]</c>.</summary>
    public IReadOnlyList<int> ShownIds { get; init; } = [];

    /// <summary>Go on after the checkpoint's end-of-text ids (for measurements).</summary>
    public bool IgnoreEndOfText { get; init; }

    /// <summary>How the text is speculated. The default writes the same text as plain decoding, faster where it can.</summary>
    public SpeculationOptions Speculation { get; init; } = SpeculationOptions.Auto;

    /// <summary>Read the names of special tokens in the prompt as the tokens themselves. Off, text that somebody typed cannot become a
    /// special token.</summary>
    public bool ParseSpecial { get; init; }

    /// <summary>Put the tokens around the prompt that the tokenizer puts around a text, such as the beginning-of-text token. Off for a prompt
    /// that has them already, as the text of a chat template does.</summary>
    public bool AddSpecial { get; init; } = true;

    /// <summary>Requests of a higher priority are served before those of a lower one; among equals whoever came first. A request that is being
    /// served goes on beside later ones of higher priority: one that waits never takes its keys' and values' room. Where those that are served need more than
    /// there is, the last of them in this order gives its own back.</summary>
    public int Priority { get; init; }

    /// <summary>How long the first token may take, from the beginning of the enumeration on; then the request ends with
    /// <see cref="FirstTokenTimeoutException"/>. Looked at between two rounds. Null waits for as long as it takes.</summary>
    public TimeSpan? FirstTokenTimeout { get; init; }

    /// <summary>Whose keys and values the request may find in the prefix cache, and who may find its own: those of requests with the same
    /// salt. By how soon the first token comes one could find out what others have asked; a salt for each of them, up to 1024 characters, prevents
    /// that. Null shares with all that have none.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>A text that the output is expected to be like, such as a file that is to be returned with a change: it is guessed from as prompt lookup guesses from
    /// the prompt, from its beginning on. The output is the same with it and without, only sooner where much of it stands there. It has at most as many tokens as the
    /// context; <see cref="SpeculationOptions.Off"/> leaves it unread. Null expects nothing.</summary>
    public string? Prediction { get; init; }

    /// <inheritdoc/>
    public override void Validate(int vocabSize)
    {
        base.Validate(vocabSize);
        Require(MaxTokens is null or >= 1, nameof(MaxTokens), MaxTokens, "1 or more");
        Require(FirstTokenTimeout is null || FirstTokenTimeout > TimeSpan.Zero, nameof(FirstTokenTimeout), FirstTokenTimeout, "more than zero");
        Require(CacheSalt is null or { Length: <= 1024 }, nameof(CacheSalt), CacheSalt?.Length, "at most 1024 characters");
        foreach (var id in StopIds)
        {
            Require(id >= 0 && id < vocabSize, nameof(StopIds), id, $"a token id between 0 and {vocabSize - 1}");
        }

        foreach (var id in ShownIds)
        {
            Require(id >= 0 && id < vocabSize, nameof(ShownIds), id, $"a token id between 0 and {vocabSize - 1}");
        }
    }

    /// <summary>Checks how long a prediction is.</summary>
    internal static void RequirePrediction(int tokens, int maxContext)
        => Require(tokens <= maxContext, nameof(Prediction), $"{tokens} tokens long", $"at most {maxContext} long, as the context is");
}
